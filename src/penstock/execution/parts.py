"""One try of one part of a job, from its assignment to the report of how it ended."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from penstock.core import limits
from penstock.core.errors import (
    Bug,
    NotFound,
    PenstockError,
    ScriptFailed,
    ScriptRejected,
    TooManyErrors,
    TransientError,
)
from penstock.core.jobs import AttemptReport
from penstock.core.ports import Clock, PartFiles, Sandbox, ScriptRunner
from penstock.core.ports.access import Egress
from penstock.core.processing import ScriptReport, ScriptSpec, parse_error_budget
from penstock.core.scripts import Chunk, ChunkResult
from penstock.core.work import Assignment, Piece
from penstock.execution.context import Context
from penstock.execution.stopping import StopSign
from penstock.tasks import script_phases
from penstock.tasks.script import ScriptTask
from penstock.tasks.webhook import deliver

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
class PartContext(Context):
    """The Context of a part: its files know what became of outputs, and there may be a way out."""

    files: PartFiles
    egress: Egress | None = None
    clock: Clock = time.time
    stop: StopSign = field(default_factory=StopSign)


class _Unfolds(Exception):
    """That an input of one attempt holds more than one attempt should do."""


class _WholeContext(PartContext):
    """The Context of a part `whole`: it reads its input before it begins, as far as one attempt goes."""

    def run_in_order(
        self, runner: ScriptRunner, chunks: Iterable[Chunk], *, seed: str, emit: str, first: int = 0
    ) -> Iterator[tuple[Chunk, ChunkResult]]:
        """Yield each chunk with what became of it.

        Raises:
            _Unfolds: when there is more than one attempt should do; no script has run then.
        """
        read, size_bytes = [], 0
        for chunk in chunks:
            size_bytes += len(chunk.payload)
            if size_bytes > limits.WHOLE_UNFOLDED.value * 2**20:
                raise _Unfolds
            read.append(chunk)
        yield from super().run_in_order(runner, read, seed=seed, emit=emit, first=first)


def run_part(
    assignment: Assignment,
    *,
    sandbox: Sandbox,
    files: PartFiles,
    egress: Egress | None = None,
    stop: StopSign | None = None,
    clock: Clock = time.time,
) -> AttemptReport:
    """Return how a part of a job ended; whatever was raised on purpose is in it.

    Args:
        assignment: the part.
        sandbox: where scripts run and inputs are read.
        files: those of this attempt alone.
        egress: the way out for webhooks.
        stop: knows whether the attempt's lease holds.
        clock: gives seconds since 1970.
    """
    progress = PartProgress()
    stop = stop or StopSign()
    context = PartContext(sandbox, files, progress, parallel=1, egress=egress, clock=clock, stop=stop)
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


def _whole(assignment: Assignment, context: PartContext) -> dict[str, Any]:
    reading = _WholeContext(context.sandbox, context.files, context.progress, context.parallel)
    try:
        return _ranked(as_report(ScriptTask().run(spec_of(assignment), reading)))
    except _Unfolds:
        return {"unfolds": True}


def _split(assignment: Assignment, context: PartContext) -> dict[str, Any]:
    report, chunks = ScriptReport(), []
    for cut in script_phases.split(spec_of(assignment), context, report):
        made = context.files.made[cut.path]
        chunks.append({"number": cut.number, "records": cut.records} | asdict(made))
    return {
        "chunks": chunks,
        "records": sum(chunk["records"] for chunk in chunks),
        "skipped": [list(left_out) for left_out in report.skipped],
    }


def _chunk(assignment: Assignment, context: PartContext) -> dict[str, Any]:
    piece = assignment.piece
    if piece is None:
        raise Bug("an assignment of a chunk without the chunk", hint="Report this line.")
    frame = b"".join(context.files.stream(piece.input))
    return as_report(script_phases.run_piece(spec_of(assignment), context, frame, number=piece.number))


def _join(assignment: Assignment, context: PartContext) -> dict[str, Any]:
    report = ScriptReport(skipped=list(assignment.skipped))
    pieces = (_done(piece, context) for piece in assignment.pieces if piece.report is not None)
    return _ranked(as_report(script_phases.join(spec_of(assignment), context, pieces, report)))


def _ranked(account: dict[str, Any]) -> dict[str, Any]:
    """Return an account with the most frequent causes first."""
    return account | {"causes": sorted(account["causes"], key=lambda cause: -int(cause["records"]))}


def _done(piece: Piece, context: PartContext) -> script_phases.Done:
    report = piece.report or {}
    context.progress.printed(report.get("printed", ""))
    return script_phases.Done(
        from_report(report),
        context.files.stream(piece.output) if piece.output else (),
        context.files.stream(piece.dead_letters) if piece.dead_letters else (),
    )


def _webhook(assignment: Assignment, context: PartContext) -> dict[str, Any]:
    if assignment.message is None:
        raise NotFound("the webhook's secret is not there any more", hint="Set it again: penstock secrets put NAME")
    if context.egress is None:
        raise Bug("a webhook without a way out", hint="Report this line.")
    context.stop.confirm()
    return {"status": deliver(assignment.message, context.egress, now=context.clock())}


_PARTS: Final[Mapping[str, Callable[[Assignment, PartContext], dict[str, Any]]]] = {
    "whole": _whole,
    "split": _split,
    "chunk": _chunk,
    "join": _join,
    "webhook": _webhook,
}


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
        chunks_max=limits.JOB_CHUNKS.value,
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
            for (code, kind, line), records in report.causes.items()
        ],
        "skipped": [list(left_out) for left_out in report.skipped],
    }


def from_report(stored: Mapping[str, Any]) -> ScriptReport:
    """Return the account of a part from how it is stored."""
    names = ("records", "produced", "dropped", "failed", "rows", "chunks")
    causes = Counter(
        {(cause["code"], cause["type"], cause["script_line"]): cause["records"] for cause in stored["causes"]}
    )
    return ScriptReport(**{name: stored[name] for name in names}, causes=causes)


def as_error(error: PenstockError) -> dict[str, Any]:
    """Return an error as it is stored with an attempt."""
    stored: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, ScriptRejected):
        stored["problems"] = error.problems
    if isinstance(error, TransientError) and error.retry_after_s is not None:
        stored["retry_after_s"] = error.retry_after_s
    return stored


def _failed(error: PenstockError, files: PartFiles, progress: PartProgress) -> AttemptReport:
    with contextlib.suppress(TransientError):  # the store is away: the sweep will find what is left
        files.drop_all_but(DEAD_LETTERS)
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
    # A script version that was published has been prepared before: what keeps it from that now may pass.
    return "crashed" if isinstance(error, Bug | ScriptRejected) else "failed"


def _killed(account: Mapping[str, Any]) -> bool:
    """Return whether the sandbox stopped the script, and nothing came of it."""
    if not account or account.get("produced") or not account.get("causes"):
        return False
    return any(cause["code"] in _KILLS for cause in account["causes"])
