"""The Suites of a server or a laptop: suites read, compiled for a table, and judged by whoever runs their SELECTs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.base.text import duration
from penstock.checks.compiling import compile_suite
from penstock.checks.results import Verdict
from penstock.checks.suites import Suite, read_suite
from penstock.checks.tables import Table
from penstock.checks.validating import StatementFailed, validate
from penstock.core.columns import Column
from penstock.core.errors import ProjectInvalid, TaskFailed
from penstock.core.ports.checks import CheckedSuite, Judgement
from penstock.core.projects import ProjectProblem

_SQL_FAILED = "sql_failed"
_ABOUT = ("column", "column_A", "column_B", "column_list")


class GxSuites:
    """Suites in the format of Great Expectations."""

    def problems(self, source: bytes, *, name: str) -> Sequence[ProjectProblem]:
        """Return everything that is wrong with a suite."""
        return read_suite(name, source)[1]

    def suite(self, source: bytes, *, name: str) -> CheckedSuite:
        """Return a suite.

        Raises:
            ProjectInvalid: with everything that is wrong with it.
        """
        suite, problems = read_suite(name, source)
        if suite is None:
            raise ProjectInvalid(problems)
        return GxSuite(suite)


@dataclass(frozen=True, slots=True)
class GxSuite:
    """A suite that has been read and checked."""

    suite: Suite

    @property
    def name(self) -> str:
        """What its author calls it."""
        return self.suite.name

    def judge(
        self,
        columns: Sequence[Column],
        *,
        relation: str,
        execute: Callable[[str], Sequence[Sequence[Any]]],
        now: float,
        mask: Callable[[str, Any], Any],
        others: Mapping[str, str],
    ) -> Judgement:
        """Return what becomes of it on a table."""

        def run(sql: str) -> Sequence[Sequence[Any]]:
            try:
                return execute(sql)
            except TaskFailed as error:
                if error.figures.get("code") != _SQL_FAILED:  # the engine is gone: nothing can be judged any more
                    raise
                raise StatementFailed(error.message) from error

        compiled = compile_suite(self.suite, Table(relation, columns, others, now))
        result = validate(compiled, run, mask=mask)
        return Judgement(
            suite=self.name,
            success=result.success,
            verdicts=[verdict.as_json() for verdict in result.verdicts],
            failures=[_words(verdict) for verdict in result.verdicts if not verdict.success],
            elapsed_s=result.elapsed_s,
        )


def _words(verdict: Verdict) -> str:
    """Return a failed expectation in a line: its type, what it is about, and figures."""
    kwargs = verdict.expectation.kwargs
    about = [
        one for name in _ABOUT if (found := kwargs.get(name)) for one in (found if isinstance(found, list) else [found])
    ]
    name = f"{verdict.expectation.type}({', '.join(map(str, about))})"
    if verdict.exception:
        return f"{name}: {verdict.exception}"
    result = verdict.result
    if "element_count" not in result and ("unexpected_count" in result or "missing_count" in result):  # of a set
        beyond, missing = result.get("unexpected_count", 0), result.get("missing_count", 0)
        said = [f"values that are not in the set: {beyond:,}"] * bool(beyond)
        return f"{name}: {', '.join([*said, *[f'values of the set that are missing: {missing:,}'] * bool(missing)])}"
    if "unexpected_count" in result:
        total = result["element_count"]
        share = f" ({100 * result['unexpected_count'] / total:.3g} %)" if total else ""
        return f"{name}: {result['unexpected_count']:,} of {total:,} rows{share}"
    if "age_s" in (details := result.get("details") or {}):
        return f"{name}: the latest is {duration(max(0.0, details['age_s']))} old"
    observed = result.get("observed_value")
    return f"{name}: found {observed}" if isinstance(observed, int | float | str) else f"{name}: not as expected"
