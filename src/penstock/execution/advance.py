"""What is next? Pure: how things stand and what has just ended in, a decision out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.jobs import ENDED, BlobPointer, Entry, EntryId, Lane, PartKind
from penstock.core.plan import PlannedTask, Run
from penstock.core.processing import parse_error_budget
from penstock.core.work import Ended, Ending, Piece, PiecesDone, Work

WEBHOOKS: Final = Lane("webhooks")


def ready(run: Run) -> tuple[PlannedTask, ...]:
    """Return the tasks that can be tried now: not tried yet, and everything before them has succeeded."""
    return tuple(
        task
        for task in run.plan.tasks
        if run.state(task.name) == "waiting" and all(run.state(before) == "succeeded" for before in task.after)
    )


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from the end of an attempt.

    Attributes:
        entries: attempts to queue.
        pieces: chunks to record.
        ending: how the job ends, when it does.
        alone: whether the job's other attempts that wait are to be removed.
    """

    entries: tuple[Entry, ...] = ()
    pieces: tuple[Piece, ...] = ()
    ending: Ending | None = None
    alone: bool = False


def after_attempt(work: Work, ended: Ended, *, now: float, chance: float) -> Step:
    """Return what follows from an attempt of a part other than `chunk`, or of a chunk that did not succeed.

    Args:
        work: the job, as it stands.
        ended: the attempt.
        now: seconds since 1970.
        chance: 0 to 1, drawn anew for each attempt: where in its span a back-off ends.
    """
    entry, report = ended.lease.entry, ended.report
    if work.state in ENDED:
        return Step()
    if work.cancel_asked or report.outcome == "cancelled":
        return Step(ending=Ending(work.run, "cancelled", now), alone=True)
    if report.outcome == "transient":
        pause_s = max(chance, 0.1) * limits.OUTAGE_RETRY.value
        code = (report.error or {}).get("code", "sandbox_unavailable")
        return Step(entries=(again(entry, attempt=entry.attempt, not_before=now + pause_s, reason=code),))
    if report.outcome == "crashed" and entry.attempt < entry.attempts_max:
        lost = (report.error or {}).get("code") == "worker_lost"  # as when its whole worker is: no reason to wait
        return Step(entries=(after_back_off(entry, now=now, chance=0.0 if lost else chance, error=report.error),))
    if report.outcome != "succeeded":
        return Step(ending=_failed(work, ended, now), alone=True)
    if report.report.get("unfolds"):
        return Step(entries=(_next(entry, part="split"),))
    if entry.part == "split":
        return _after_split(entry, report.report)
    account = _account(report.report)
    return Step(ending=Ending(work.run, "succeeded", now, account, report.output, report.dead_letters))


def after_chunk(work: Work, entry: Entry, done: PiecesDone) -> Step:
    """Return what follows from a chunk that succeeded: nothing, or the end of the job when no more are needed.

    Chunks end in any order. A number of failed records is too many in any order; a share of them says nothing before
    the join looks at the chunks in theirs.
    """
    budget = parse_error_budget(work.options.errors_max)
    too_many = budget.records is not None and done.failed > budget.records
    if not too_many and done.pieces != work.pieces:
        return Step()
    return Step(entries=(_next(entry, part="join"),), alone=True)


def after_delivery(entry: Entry, ended: Ended, *, now: float, chance: float) -> Step:
    """Return what follows from a try to send a webhook: another, unless it arrived or was the last."""
    if ended.report.outcome == "succeeded" or entry.attempt >= entry.attempts_max:
        return Step()
    return Step(entries=(after_back_off(entry, now=now, chance=chance, error=ended.report.error),))


def webhook_entry(work: Work) -> Entry:
    """Return the first attempt to tell somebody that a job has ended."""
    return Entry(
        id=EntryId(new_id("att")),
        workspace=work.workspace,
        lane=WEBHOOKS,
        run=work.run,
        task="webhook",
        part="webhook",
        attempts_max=limits.WEBHOOK_ATTEMPTS.value,
    )


def after_back_off(entry: Entry, *, now: float, chance: float, error: Mapping[str, Any] | None) -> Entry:
    """Return the next try of an entry, after a pause that doubles with each, drawn from the whole of it.

    Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
    """
    most_s = min(limits.BACK_OFF_MOST.value, limits.BACK_OFF_FIRST.value * 2.0 ** (entry.attempt - 1))
    reason = (error or {}).get("code", "crashed")
    return again(entry, attempt=entry.attempt + 1, not_before=now + chance * most_s, reason=reason)


def again(entry: Entry, *, attempt: int, not_before: float, reason: str) -> Entry:
    """Return another try of an entry."""
    return dataclasses.replace(entry, id=EntryId(new_id("att")), attempt=attempt, not_before=not_before, reason=reason)


def failure(work: Work, *, now: float, code: str, message: str, hint: str) -> Ending:
    """Return the end of a job that failed without a report of its own."""
    return Ending(work.run, "failed", now, error={"code": code, "message": message, "hint": hint})


def _next(entry: Entry, *, part: PartKind, number: int = 0) -> Entry:
    return dataclasses.replace(
        entry,
        id=EntryId(new_id("att")),
        part=part,
        number=number,
        attempt=1,
        not_before=None,
        deadline=None,
        reason=None,
    )


def _after_split(entry: Entry, report: Mapping[str, Any]) -> Step:
    pieces = tuple(
        Piece(chunk["number"], BlobPointer(chunk["key"], chunk["size_bytes"], chunk["sha256"]))
        for chunk in report["chunks"]
    )
    if not pieces:
        return Step(entries=(_next(entry, part="join"),))
    return Step(entries=tuple(_next(entry, part="chunk", number=piece.number) for piece in pieces), pieces=pieces)


def _failed(work: Work, ended: Ended, now: float) -> Ending:
    report = ended.report
    account = _account(report.report) if "records" in report.report else None
    return Ending(work.run, "failed", now, account, None, report.dead_letters, report.error)


def _account(report: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: report.get(name, 0) for name in ("records", "produced", "dropped", "failed", "rows")}
    return {
        "counts": counts,
        "causes": report.get("causes", []),
        "skipped": report.get("skipped", []),
        "printed": report.get("printed", ""),
    }
