"""Checks a table against a suite in the format of Great Expectations, before anybody reads what the run has written.

All expectations that need a look at the rows are asked in one statement; what must be grouped follows in a second, and
a few of the rows that failed are shown with their letters and digits replaced. With `on_failure: block` the task fails
when one expectation is not met, and the run publishes nothing; with `warn` it says so and goes on. The result is kept
with the snapshot that was checked. The types of expectations, and their arguments, are listed in the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field

from penstock.core.errors import Bug, CheckFailed
from penstock.core.ports import PipelineContext
from penstock.core.ports.checks import Judgement, Suites
from penstock.core.projects import Project, ProjectProblem, Task
from penstock.core.runs import CheckResult
from penstock.core.tables import Reading, TableName
from penstock.tasks.project_texts import missing_file, text_hash
from penstock.tasks.windows import ReadSpec, TableText, read_window

_CHECKED: Final = "penstock_checked"
_SHOWN_MAX: Final = 10
_DIGIT: Final = re.compile(r"[0-9]")
_LETTER: Final = re.compile(r"[^0-9\s!-/:-@\[-`{-~]")  # all but digits, blanks and the signs of ASCII


class ExpectationsSpec(ReadSpec):
    """What a task of the kind `expectations` says."""

    source: TableText = Field(alias="from", description="The table that is checked, such as marts.daily_sales.")
    suite: str = Field(description="The project's file with the suite, such as expectations/daily_sales.json.")
    on_failure: Literal["block", "warn"] = Field(
        "block", description="What a failure does: `block` fails the task, so that nothing is published; `warn` tells."
    )
    others: list[TableText] = Field(
        default_factory=list, description="Further tables, which expectations that compare tables may name."
    )


@dataclass(frozen=True, slots=True)
class ExpectationsTask:
    """Judges a table.

    Attributes:
        suites: reads suites before a run.
    """

    suites: Suites | None = None

    name: ClassVar = "expectations"
    Spec: ClassVar = ExpectationsSpec
    follows_publish: ClassVar = False
    publishes: ClassVar = False

    def using(self, suites: Suites) -> Self:
        """Return the same kind, which can read suites before a run."""
        return replace(self, suites=suites)

    def reads(self, spec: ExpectationsSpec, /) -> Iterable[str]:
        """Return the table, and those that it is compared with."""
        return tuple(dict.fromkeys([spec.source, *spec.others]))

    def writes(self, spec: ExpectationsSpec, /) -> Iterable[str]:
        """Return nothing."""
        return ()

    def code(self, spec: ExpectationsSpec, project: Project, /) -> str:
        """Return the hash of the suite's file."""
        return text_hash(project, spec.suite)

    def problems(self, task: Task, project: Project, /) -> Iterator[ProjectProblem]:
        """Yield everything that is wrong with the suite, each with its place in the suite's file."""
        path = task.spec.suite
        yield from missing_file(task, project, "suite", path, ending=".json")
        if path in project.files and self.suites is not None:
            yield from self.suites.problems(project.files[path], name=path)

    def run(self, spec: ExpectationsSpec, ctx: PipelineContext, /) -> Mapping[str, Any]:
        """Judge the table, and keep the result.

        Raises:
            CheckFailed: when an expectation is not met, and the task blocks.
        """
        suite = ctx.suite(ctx.file(spec.suite), name=spec.suite)
        reading = read_window(ctx, spec.source, spec)
        others = {name: ctx.read(TableName(name)) for name in spec.others}
        tables: dict[str, Reading] = {_CHECKED: reading, **others}
        with ctx.engine(tables=tables) as execute:
            judgement = suite.judge(
                reading.columns,
                relation=_CHECKED,
                execute=execute,
                now=ctx.occurrence.started_at,
                mask=lambda _column, value: masked(value),
                others={name: _qualified(name) for name in others},
            )
        ctx.record_check(_result(spec, ctx, reading, judgement))
        ctx.progress(reading.rows, total=reading.rows)
        failed = len(judgement.failures)
        report = {"rows": reading.rows, "rejected": 0, "evaluated": len(judgement.verdicts), "failed": failed}
        if judgement.success:
            return report
        if spec.on_failure == "block":
            raise _failure(spec, reading, judgement)
        for words in judgement.failures[:_SHOWN_MAX]:
            ctx.log(f"not met: {words}", level="warning")
        return report


KIND: Final = ExpectationsTask()


def masked(value: Any) -> Any:
    """Return the form of a value: letters as x, digits as 9; what has neither stays, and so does what is missing."""
    match value:
        case None:
            return None
        case bool():
            return "x"
        case str() | int() | float():
            return _DIGIT.sub("9", _LETTER.sub("x", str(value)[:100]))
        case list() | tuple():
            return [masked(one) for one in value]
        case Mapping():
            return {masked(str(name)): masked(one) for name, one in value.items()}  # of a map, they are values, too
    raise Bug(f"a sample holds {type(value).__name__}", hint="Report this line.")


def _qualified(name: str) -> str:
    schema, _, table = name.partition(".")
    return f'"{schema}"."{table}"'


def _result(spec: ExpectationsSpec, ctx: PipelineContext, reading: Reading, judgement: Judgement) -> CheckResult:
    return CheckResult(
        run=ctx.occurrence.run,
        task=ctx.occurrence.task,
        table=reading.table,
        snapshot=reading.snapshot,
        suite=spec.suite,
        success=judgement.success,
        evaluated=len(judgement.verdicts),
        failed=len(judgement.failures),
        blocks=spec.on_failure == "block",
        at=ctx.occurrence.started_at,
        verdicts=judgement.verdicts,
    )


def _failure(spec: ExpectationsSpec, reading: Reading, judgement: Judgement) -> CheckFailed:
    shown = "; ".join(judgement.failures[:_SHOWN_MAX])
    more = len(judgement.failures) - _SHOWN_MAX
    are = "is" if len(judgement.failures) == 1 else "are"
    return CheckFailed(
        f"{len(judgement.failures)} of {len(judgement.verdicts)} expectations of {spec.suite} {are} not met by"
        f" {reading.table}: {shown}" + (f"; and {more} more" if more > 0 else ""),
        hint="Look at the rows, and correct them where they are made, or the suite; nothing is published.",
        figures={"suite": spec.suite, "table": reading.table, "rows": reading.rows, "failures": judgement.failures},
    )
