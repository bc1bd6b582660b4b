"""One try of one part of a job, from its assignment to the report of how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock.core.errors import (
    Bug,
    PenstockError,
    ScriptFailed,
    ScriptRejected,
    TooManyErrors,
    TransientError,
)
from penstock.core.jobs import AttemptReport
from penstock.core.ports import PartFiles, Sandbox
from penstock.core.processing import ScriptReport, ScriptSpec, parse_error_budget
from penstock.core.work import Assignment
from penstock.execution.context import Context
from penstock.tasks.script import ScriptTask

RESULT: Final = "result"
DEAD_LETTERS: Final = "dead-letters"
_PRINTED_CHARACTERS_MAX: Final = 4_000
# What the sandbox had to stop, and not what a script raised by itself.
_KILLS: Final = frozenset(
    [
        "limit_wall",
        "limit_cpu",
        "limit_memory",
        "limit_output",
        "crashed",
        "forbidden_call",
        "no_result",
        "reply_forged",
        "chunk_failed",
    ]
)

OpenFiles = Callable[[Assignment], PartFiles]


@dataclass(slots=True)
class PartProgress:
    """A Progress that keeps what a script printed first; how far a part has come is only told at its end."""

    text: str = ""

    def begin(self, total_bytes: int | None) -> None:
        """Do nothing."""

    def advance(self, *, records: int, read_bytes: int) -> None:
        """Do nothing."""

    def printed(self, text: str) -> None:
        """Keep it while there is room."""
        self.text += text[: _PRINTED_CHARACTERS_MAX - len(self.text)]

    def end(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class PartRunner:
    """Carries out assignments; safe to call from several threads.

    Attributes:
        open_files: makes the Files of one assignment.
    """

    sandbox: Sandbox
    open_files: OpenFiles

    def run(self, assignment: Assignment) -> AttemptReport:
        """Return how a part ended; only a bug raises."""
        files = self.open_files(assignment)
        progress = PartProgress()
        context = Context(self.sandbox, files, progress, parallel=1)
        try:
            report = _PARTS[assignment.lease.entry.part](assignment, context)
        except PenstockError as error:
            return _failed(error, files, progress)
        return AttemptReport(
            "succeeded",
            report=report | {"printed": progress.text},
            output=files.made.get(RESULT),
            dead_letters=files.made.get(DEAD_LETTERS),
            killed=_killed(report),
            small=files.small,
        )


def _whole(assignment: Assignment, context: Context) -> dict[str, Any]:
    return as_report(ScriptTask().run(spec_of(assignment), context))


_PARTS: Final[Mapping[str, Callable[[Assignment, Context], dict[str, Any]]]] = {"whole": _whole}


def spec_of(assignment: Assignment) -> ScriptSpec:
    """Return what `penstock process` would be asked for."""
    if assignment.script is None:
        raise Bug("an assignment without a script version", hint="Report this line.")
    return ScriptSpec(
        script=assignment.script,
        inputs=(assignment.input.name,),
        input_format=assignment.input.format,
        output=RESULT,
        output_format=assignment.output_format,
        dead_letters=None,
        dead_letters_default=DEAD_LETTERS,
        errors_max=parse_error_budget(assignment.errors_max),
        chunk_records=assignment.chunk_records,
        seed=assignment.lease.entry.run,
    )


def as_report(report: ScriptReport) -> dict[str, Any]:
    """Return the account of a part as it is stored."""
    return {
        "records": report.records,
        "produced": report.produced,
        "dropped": report.dropped,
        "failed": report.failed,
        "rows": report.rows,
        "chunks": report.chunks,
        "output_bytes": report.output_bytes,
        "causes": [
            {"code": code, "type": kind, "script_line": line, "records": records}
            for (code, kind, line), records in report.causes.most_common()
        ],
        "skipped": [list(left_out) for left_out in report.skipped],
    }


def as_error(error: PenstockError) -> dict[str, Any]:
    """Return an error as it is stored with an attempt."""
    stored: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, ScriptRejected):
        stored["problems"] = error.problems
    if isinstance(error, TransientError) and error.retry_after_s is not None:
        stored["retry_after_s"] = error.retry_after_s
    return stored


def _failed(error: PenstockError, files: PartFiles, progress: PartProgress) -> AttemptReport:
    account = as_report(error.report) | {"printed": progress.text} if isinstance(error, TooManyErrors) else {}
    return AttemptReport(
        _outcome(error),
        report=account,
        dead_letters=files.made.get(DEAD_LETTERS),
        error=as_error(error),
        killed=isinstance(error, ScriptFailed) or _killed(account),
        small=files.small,
    )


def _outcome(error: PenstockError) -> Any:
    if isinstance(error, TransientError):
        return "transient"
    return "crashed" if isinstance(error, Bug) else "failed"


def _killed(account: Mapping[str, Any]) -> bool:
    """Return whether the sandbox stopped the script, and nothing came of it."""
    if not account or account.get("produced") or not account.get("causes"):
        return False
    return any(cause["code"] in _KILLS for cause in account["causes"])
