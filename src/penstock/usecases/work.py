"""What a worker asks for: the next attempts, with what follows from the last ones, in one transaction.

An attempt's end, what follows from it and the close of its lease stand or fall together: a lease that has expired
meanwhile is somebody else's, and then nothing of it is recorded.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, TypeVar

import orjson

from penstock.base.times import iso
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import Bug, PenstockError, TransientError
from penstock.core.jobs import (
    ENDED,
    SMALL_PREFIX,
    AttemptReport,
    BlobPointer,
    Entry,
    EntryId,
    JobInput,
    Lease,
    Outcome,
    RunState,
    VersionId,
)
from penstock.core.plan import RunId
from penstock.core.ports import (
    Bells,
    Blobs,
    Clock,
    Database,
    JobRecords,
    Queue,
    QuotaKeeper,
    ScriptRecords,
    SecretReader,
    SmallBlobs,
    WorkRecords,
)
from penstock.core.runs import TASK_PARTS, PipelineRun
from penstock.core.scripts import ScriptVersion
from penstock.core.versions import script_version
from penstock.core.work import Assignment, Ended, Ending, Held, Message, Piece, Round, Ticked, Told, WorkerState
from penstock.core.work import Work as JobWork
from penstock.execution.advance import (
    Step,
    after_attempt,
    after_chunk,
    after_delivery,
    failure,
)
from penstock.usecases.endings import end_jobs
from penstock.usecases.run_work import RunWork
from penstock.usecases.usage import SCRIPT_PARTS, count_late, count_usage

T = TypeVar("T")
ENDED_BELL: Final = "ended"  # rung when jobs may have ended
_NOTHING_TOLD: Final = Told()
_VERSIONS_KEPT: Final = 256  # at most a MiB each
_NOTHING: Final = JobInput(BlobPointer("", 0, ""))  # what a task reads, it finds itself


@dataclass(frozen=True, slots=True)
class _Taken:
    """A lease with what its transaction has read for it."""

    lease: Lease
    work: JobWork
    pieces: tuple[Piece, ...]
    small: Mapping[str, bytes]
    message: Message | None
    room_bytes: int | None


@dataclass(slots=True)
class _Codes:
    """Script versions by id; published ones never change."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[VersionId, tuple[str, ScriptVersion]] = field(default_factory=dict)


@dataclass(slots=True)
class _Gathered:
    """What the ends of a round write of one kind, to be written at once.

    Attributes:
        stored: bytes that each job has stored.
    """

    endings: list[tuple[JobWork, Ending]] = field(default_factory=list)
    small: dict[str, bytes] = field(default_factory=dict)
    stored: Counter[RunId] = field(default_factory=Counter)
    stored_by_workspace: Counter[WorkspaceId] = field(default_factory=Counter)

    def keep(self, work: JobWork, report: AttemptReport) -> None:
        """Take what an attempt has stored."""
        self.small |= report.small
        self.count(work, sum(each.size_bytes for each in (report.output, report.dead_letters) if each is not None))

    def count(self, work: JobWork, size_bytes: int) -> None:
        """Count bytes that a job has stored."""
        if size_bytes:
            self.stored[work.run] += size_bytes
            self.stored_by_workspace[work.workspace] += size_bytes


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker can ask for."""

    database: Database
    jobs: JobRecords
    records: WorkRecords
    scripts: ScriptRecords
    queue: Queue
    blobs: Blobs
    small: SmallBlobs
    quotas: QuotaKeeper
    secrets: SecretReader
    bells: Bells
    runs: RunWork
    clock: Clock
    _codes: _Codes = field(default_factory=_Codes)

    def round(self, worker: str, ended: Sequence[Ended], *, count: int, guests: bool = False) -> Round:
        """Record how attempts ended, with what follows, and take up to `count` new ones, in one transaction.

        Guests are attempts of workspaces that run nothing.

        Raises:
            DatabaseUnavailable: when nothing of it happened; to be tried again unchanged.
        """

        def turn(tx: Any) -> tuple[list[EntryId], list[_Taken], list[Lease]]:
            now = self.clock()
            refused, settled = self._close(tx, ended, now)
            leases = self.queue.lease(tx, worker=worker, count=count, guests=guests) if count else []
            of_runs, of_jobs = _of_runs(leases, lambda lease: lease.entry)
            begun = self.runs.take(tx, of_runs, now=now, settled=settled) if of_runs else []
            return refused, self._take(tx, of_jobs, now), begun

        refused, taken, begun = self.database.write(turn, durable=bool(ended))
        if ended:
            self.bells.ring(ENDED_BELL)
            self.queue.announce()
        tasks = tuple(
            Assignment(lease, f"{lease.entry.workspace}/runs/{lease.entry.run}/", _NOTHING) for lease in begun
        )
        return Round(self._assign(worker, taken) + tasks, tuple(refused))

    def heartbeat(self, worker: WorkerState, leases: Sequence[Lease], *, told: Told = _NOTHING_TOLD) -> Held:
        """Make leases last again, and say which are still held and which of their jobs are to end.

        Args:
            worker: whose they are.
            leases: what it holds.
            told: what it has heard of them besides.
        """

        def beat(tx: Any) -> Held:
            now = self.clock()
            self.records.put_worker(tx, worker, now=now)
            count_late(self.records, tx, told.late, now=now)
            held = self.queue.heartbeat(tx, leases) if leases else []
            kept = {lease.entry.id for lease in held}
            self.records.put_done(tx, [each for each in told.done if each[0].id in kept], now=now)
            return Held(tuple(held), self.records.cancelled(tx, list({lease.entry.run for lease in held})))

        return self.database.write(beat, durable=False)

    def release(self, worker: str, leases: Sequence[Lease], *, reason: str) -> None:
        """Give leases back untried: they cost no attempt."""
        if leases:
            self.database.write(lambda tx: self.queue.release(tx, leases, reason=reason))

    def leave(self, worker: str) -> None:
        """Record that a worker has left."""
        self.database.write(lambda tx: self.records.remove_worker(tx, worker))

    def bury(self, worker: str) -> int:
        """Let what a dead worker held be picked up without waiting for its leases to expire; return how many."""

        def turn(tx: Any) -> int:
            self.records.remove_worker(tx, worker)
            return self.queue.bury(tx, worker)

        return self.database.write(turn)

    def tick(self) -> Ticked:
        """Put back what dead workers held, make ready what was to wait, and end what came too late."""
        asked_at = self.clock()

        def turn(tx: Any) -> Ticked:
            now = self.clock()
            promoted = self.queue.promote(tx)
            # What kept this transaction waiting for so long has kept leases from being made to last, too.
            lost = self.queue.reap(tx) if now - asked_at < limits.LEASE.value / 2 else []
            late = self.queue.expire(tx)
            self.records.close_attempts(tx, [_lost(lease, now) for lease in lost])
            over = [lease.entry for lease in lost if lease.entry.is_last]
            self._give_up(tx, over, now, code="worker_lost", message="its workers ended before it did, each time")
            self._give_up(tx, late, now, code="deadline_passed", message="its deadline passed before it started")
            return Ticked(reaped=len(lost), promoted=promoted, expired=len(late), failed=len(over))

        return self.database.write(turn)

    def reconcile(self) -> int:
        """Correct the queue's counters from its entries; return how many were wrong."""
        return self.database.write(self.queue.reconcile)

    # ---- ends ----

    def _close(self, tx: Any, ended: Sequence[Ended], now: float) -> tuple[list[EntryId], Mapping[RunId, PipelineRun]]:
        if not ended:
            return [], {}
        busy_s = {each.lease.entry.id: max(0.0, each.finished_at - each.started_at) for each in ended}
        accepted = self.queue.finish(tx, [each.lease for each in ended], busy_s=busy_s)
        kept = [each for each, is_ours in zip(ended, accepted, strict=True) if is_ours]
        of_runs, of_jobs = _of_runs(kept, lambda each: each.lease.entry)
        works = dict(self.records.work(tx, list({each.lease.entry.run for each in of_jobs})))
        self.records.close_attempts(tx, kept)
        settled = self.runs.settle(tx, of_runs, now=now) if of_runs else {}
        gathered = _Gathered()
        for each in of_jobs:
            work = works[each.lease.entry.run]
            state = self._settle(tx, work, each, now, gathered)
            works[work.run] = replace(work, state=state)
        self._write(tx, gathered)
        self._count_kills(tx, kept)
        count_usage(self.records, tx, kept, now=now)
        return [each.lease.entry.id for each, is_ours in zip(ended, accepted, strict=True) if not is_ours], settled

    def _settle(self, tx: Any, work: JobWork, ended: Ended, now: float, gathered: _Gathered) -> RunState:
        """Record what follows from one attempt's end, and return the state that its job has then."""
        entry, report = ended.lease.entry, ended.report
        if entry.part == "webhook":
            self._settle_delivery(tx, entry, ended, now)
            return work.state
        if work.state in ENDED:  # nobody reads what it has made: the sweep over the store will find it
            return work.state
        gathered.keep(work, report)
        if entry.part == "chunk" and report.outcome == "succeeded":
            return self._settle_piece(tx, work, entry, report, gathered)
        step = after_attempt(work, ended, now=now, chance=random.random())
        return self._follow(tx, work, step, report, gathered)

    def _settle_piece(
        self, tx: Any, work: JobWork, entry: Entry, report: AttemptReport, gathered: _Gathered
    ) -> RunState:
        done = self.records.close_piece(tx, work, entry.number, report)
        step = Step() if done is None else after_chunk(work, entry, done)
        if step.entries and not self.records.begin_join(tx, work.run):
            step = Step()
        return self._follow(tx, work, step, report, gathered)

    def _write(self, tx: Any, gathered: _Gathered) -> None:
        """Write what the ends of a round have in common, each kind at once."""
        self.small.store(tx, gathered.small)
        self.records.add_stored(tx, gathered.stored)
        for workspace, size_bytes in gathered.stored_by_workspace.items():
            self.quotas.add_stored(tx, workspace, size_bytes)
        end_jobs(tx, gathered.endings, records=self.records, queue=self.queue)

    def _settle_delivery(self, tx: Any, entry: Entry, ended: Ended, now: float) -> None:
        step = after_delivery(entry, ended, now=now, chance=random.random())
        if step.entries:
            self.queue.enqueue(tx, step.entries)
        arrived = ended.report.outcome == "succeeded"
        state = "delivered" if arrived else "waiting" if step.entries else "failed"
        error = (ended.report.error or {}).get("message")
        self.records.close_delivery(tx, entry.run, state=state, error=error, now=now)

    def _follow(self, tx: Any, work: JobWork, step: Step, report: AttemptReport, gathered: _Gathered) -> RunState:
        if step.alone:
            self.queue.cancel(tx, work.run)
        if step.pieces:
            skipped = report.report.get("skipped", ())
            self.records.insert_pieces(tx, work, step.pieces, skipped=skipped)
            gathered.count(work, sum(piece.input.size_bytes for piece in step.pieces))
        if step.entries:
            self.queue.enqueue(tx, step.entries)
        if step.ending is None:
            return work.state
        gathered.endings.append((work, step.ending))
        return step.ending.state

    def _give_up(self, tx: Any, entries: Sequence[Entry], now: float, *, code: str, message: str) -> None:
        """End the jobs and tasks of entries that left the queue without an end of their own."""
        of_runs, entries = _of_runs(entries, lambda entry: entry)
        if of_runs:
            self.runs.give_up(tx, of_runs, now=now, code=code, message=message)
        works = self.records.work(tx, list({entry.run for entry in entries}))
        for entry in entries:
            work = works.get(entry.run)
            if entry.part == "webhook":
                self.records.close_delivery(tx, entry.run, state="failed", error=message, now=now)
            elif work is not None and work.state not in ENDED:
                self.queue.cancel(tx, work.run)
                tried = f"attempt {entry.attempt} of {entry.attempts_max}"
                hint = f"See its attempts: penstock jobs show {work.run}; run it again: penstock jobs retry {work.run}"
                ending = failure(work, now=now, code=code, message=f"{message} ({tried})", hint=hint)
                end_jobs(tx, [(work, ending)], records=self.records, queue=self.queue)

    def _count_kills(self, tx: Any, ended: Sequence[Ended]) -> None:
        lanes: dict[tuple[WorkspaceId, Any], bool] = {}
        for each in ended:
            entry = each.lease.entry
            if entry.part not in SCRIPT_PARTS or each.report.outcome in ("transient", "cancelled"):
                continue
            if each.report.report.get("unfolds"):  # its script has not run
                continue
            if each.report.killed:
                self.queue.count_kill(tx, entry.workspace, entry.lane, killed=True)
            else:
                lanes[entry.workspace, entry.lane] = True
        for workspace, lane in lanes:
            self.queue.count_kill(tx, workspace, lane, killed=False)

    # ---- leases ----

    def _take(self, tx: Any, leases: Sequence[Lease], now: float) -> list[_Taken]:
        """Return the leases that are to be carried out; end those whose job may not go on."""
        works = self.records.work(tx, list({lease.entry.run for lease in leases}))
        going: list[tuple[Lease, JobWork]] = []
        for lease in leases:
            work = works[lease.entry.run]
            if lease.entry.part != "webhook" and (reason := _over(work, now)) is not None:
                self.queue.finish(tx, [lease], busy_s={})
                if work.state not in ENDED:
                    self.queue.cancel(tx, work.run)
                    end_jobs(tx, [(work, reason)], records=self.records, queue=self.queue)
            else:
                going.append((lease, work))
        taken = self._read(tx, going)
        self.records.start(tx, [work.run for _, work in going if work.state == "queued"], now=now)
        return taken

    def _read(self, tx: Any, going: Sequence[tuple[Lease, JobWork]]) -> list[_Taken]:
        pieces = [self._pieces(tx, lease.entry, work) for lease, work in going]
        keys = [_small_keys(lease.entry, work, of) for (lease, work), of in zip(going, pieces, strict=True)]
        small = self.small.load(tx, [key for each in keys for key in each])
        return [
            _Taken(
                lease,
                work,
                of,
                {key: small[key] for key in each if key in small},
                self._message(tx, work) if lease.entry.part == "webhook" else None,
                self._room(tx, work, lease.entry.part),
            )
            for (lease, work), of, each in zip(going, pieces, keys, strict=True)
        ]

    def _room(self, tx: Any, work: JobWork, part: str) -> int | None:
        """Return how many bytes a part may make; what `join` puts together is counted already."""
        if part in ("join", "webhook"):
            return None
        usage = self.quotas.usage(tx, work.workspace)
        return max(usage.quotas.stored_bytes_max - usage.stored_bytes, limits.ATTEMPT_ROOM.value * 2**20)

    def _pieces(self, tx: Any, entry: Entry, work: JobWork) -> tuple[Piece, ...]:
        if entry.part not in ("chunk", "join"):
            return ()
        return self.records.pieces(tx, work.run, number=entry.number if entry.part == "chunk" else None)

    def _message(self, tx: Any, work: JobWork) -> Message | None:
        hook = work.options.webhook
        if hook is None:
            return None
        try:
            secret = self.secrets.resolve(tx, work.workspace, hook.secret)
        except PenstockError:
            return None  # the secret was deleted: without a signature nothing is sent
        job = self.jobs.read(tx, work.workspace, work.run)
        body = {
            "type": f"job.{job.state}",
            "timestamp": iso(job.finished_at),
            "data": {
                "id": job.id,
                "state": job.state,
                "script": job.script_name,
                "version": job.version_number,
                "labels": dict(job.options.labels),
                "created_at": iso(job.created_at),
                "started_at": iso(job.started_at),
                "finished_at": iso(job.finished_at),
                "counts": asdict(job.counts),
                "result_bytes": job.result.size_bytes if job.result else None,
                "dead_letters_bytes": job.dead_letters.size_bytes if job.dead_letters else None,
                "error": job.error and {"code": job.error.get("code"), "message": job.error.get("message")},
            },
        }
        policy = self.records.policy(tx, work.workspace)
        return Message(f"msg_{work.run}", hook.url, orjson.dumps(body), secret, policy)

    def _assign(self, worker: str, taken: Sequence[_Taken]) -> tuple[Assignment, ...]:
        assignments: list[Assignment] = []
        out_of_reach: list[Ended] = []
        for each in taken:
            try:
                assignments.append(self._assignment(each))
            except PenstockError as error:
                outcome: Outcome = "transient" if isinstance(error, TransientError) else "crashed"
                told = {"code": error.code, "message": error.message, "hint": error.hint}
                now = self.clock()
                out_of_reach.append(Ended(each.lease, AttemptReport(outcome, error=told), now, now))
        if out_of_reach:
            self.round(worker, out_of_reach, count=0)
        return tuple(assignments)

    def _assignment(self, taken: _Taken) -> Assignment:
        work, entry = taken.work, taken.lease.entry
        prefix = f"{work.workspace}/jobs/{work.run}/"
        if entry.part == "webhook":
            return Assignment(taken.lease, prefix, work.input, message=taken.message)
        version_id, script = self._script(work)
        return Assignment(
            lease=taken.lease,
            prefix=prefix,
            input=work.input,
            output_format=work.options.output_format,
            errors_max=work.options.errors_max,
            chunk_records=work.options.chunk_records,
            version_id=version_id,
            script=script,
            small=taken.small,
            piece=taken.pieces[0] if entry.part == "chunk" else None,
            pieces=taken.pieces if entry.part == "join" else (),
            skipped=work.skipped,
            room_bytes=taken.room_bytes,
        )

    def _script(self, work: JobWork) -> tuple[str, ScriptVersion]:
        """Return a script version with its hash; its code is fetched once, outside of any transaction."""
        if (kept := self._codes.kept.get(work.version)) is not None:
            return kept
        with self.database.read() as tx:
            version = self.scripts.load_version(tx, work.workspace, work.version)
        code = b"".join(self.blobs.stream(version.code.key))
        if hashlib.sha256(code).hexdigest() != version.code.sha256:
            raise Bug(f"the code of version {version.id} is not what was published", hint="Look at the blob store.")
        with self._codes.lock:
            if len(self._codes.kept) >= _VERSIONS_KEPT:
                self._codes.kept.clear()
            kept = self._codes.kept[work.version] = (version.id, script_version(version, code))
        return kept


def _of_runs(given: Sequence[T], entry: Callable[[T], Entry]) -> tuple[list[T], list[T]]:
    """Return what belongs to runs of pipelines, and what belongs to jobs."""
    of_runs = [each for each in given if entry(each).part in TASK_PARTS]
    return of_runs, [each for each in given if entry(each).part not in TASK_PARTS]


def _lost(lease: Lease, now: float) -> Ended:
    """Return the end of an attempt whose worker is not there any more to tell it."""
    error = {
        "code": "worker_lost",
        "message": f"worker {lease.worker} was not heard of for {limits.LEASE.value} s",
        "hint": "Look at its log; the attempt is made again while there are tries left.",
    }
    return Ended(lease, AttemptReport("lost", error=error), lease.leased_at, now)


def _over(work: JobWork, now: float) -> Ending | None:
    """Return how a job ends that may not go on; None when it may."""
    if work.state in ENDED or work.cancel_asked:
        return Ending(work.run, "cancelled", now)
    if work.revoked:
        hint = "Submit it with a version that may run; see: penstock scripts show"
        return failure(
            work, now=now, code="version_revoked", message="its script version was revoked before it started", hint=hint
        )
    return None


def _small_keys(entry: Entry, work: JobWork, pieces: Sequence[Piece]) -> list[str]:
    """Return the keys of what a part reads that are rows of the database."""
    if entry.part in ("whole", "split"):
        keys = [work.input.blob.key]
    else:
        pointers = [pointer for piece in pieces for pointer in (piece.input, piece.output, piece.dead_letters)]
        keys = [pointer.key for pointer in pointers if pointer is not None]
    return [key for key in keys if key.startswith(SMALL_PREFIX)]
