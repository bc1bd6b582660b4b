"""Jobs, as people ask for them: submit, look, fetch, cancel, try again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from penstock.base.hashing import fingerprint
from penstock.base.ids import new_id
from penstock.base.times import iso
from penstock.core import limits
from penstock.core.access import Actor, AuditEvent, WorkspaceId
from penstock.core.egress import split_url
from penstock.core.errors import Conflict, EgressRefused, NotFound, RequestInvalid
from penstock.core.jobs import (
    ENDED,
    BlobPointer,
    Entry,
    EntryId,
    Job,
    JobFilter,
    JobInput,
    JobOptions,
    JobRequest,
    Lane,
    PastAttempt,
    Waiting,
    Webhook,
)
from penstock.core.plan import PlannedTask, RunId, TaskName
from penstock.core.ports import (
    Audit,
    Blobs,
    Clock,
    Database,
    JobRecords,
    Queue,
    QuotaKeeper,
    ScriptRecords,
    SmallBlobs,
    WorkRecords,
)
from penstock.core.processing import parse_error_budget
from penstock.core.work import Ending
from penstock.planning.plans import one_task_plan
from penstock.usecases.endings import end_jobs
from penstock.usecases.permissions import require

TASK: Final = TaskName("script")
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Jobs:
    """What can be asked of jobs."""

    database: Database
    records: JobRecords
    work: WorkRecords
    scripts: ScriptRecords
    queue: Queue
    blobs: Blobs
    small: SmallBlobs
    quotas: QuotaKeeper
    audit: Audit
    clock: Clock
    webhook_problems: Callable[[Webhook, WorkspaceId], list[dict[str, str]]]

    def submit(
        self, request: JobRequest, *, actor: Actor, confirm: Callable[[Any], Actor] | None = None
    ) -> tuple[Job, bool]:
        """Accept a job, durably, and return it; False when the idempotency key had been used for it before.

        Args:
            request: the job.
            actor: who asks.
            confirm: returns who asks as of the transaction, where the input took its time; else raises why not.

        Raises:
            NotFound: when there is no such script or version.
            Conflict: when the idempotency key was used with another body.
            TooMany: when a quota of the workspace is used up.
            RequestInvalid: when an option is out of its range.
        """
        job, created = self.database.write(self._acceptance(request, actor, confirm))
        if created:
            self.queue.announce()
        return job, created

    def submit_soon(self, request: JobRequest, *, actor: Actor) -> Future[tuple[Job, bool]]:
        """Begin to accept a job, as `submit` does, and return at once what will have the outcome.

        Workers hear of it by `queue.announce`, which whoever asked calls then. A webhook is looked at first, and that
        may take a second.
        """
        return self.database.ask(self._acceptance(request, actor))

    def _acceptance(
        self, request: JobRequest, actor: Actor, confirm: Callable[[Any], Actor] | None = None
    ) -> Callable[[Any], tuple[Job, bool]]:
        """Return the work that accepts a job; whatever can be checked without the database is checked now.

        Raises:
            RequestInvalid: when an option is out of its range.
        """
        require(actor, "jobs:write")
        _check(request.options)
        job_id = RunId(new_id("job"))
        size_bytes = request.input.blob.size_bytes
        spec = (request.script, request.version, request.body_sha256)
        hook = request.options.webhook
        problems = [] if hook is None else self.webhook_problems(hook, actor.workspace)

        def accept(tx: Any) -> tuple[Job, bool]:
            if confirm is not None:
                require(confirm(tx), "jobs:write")
            now = self.clock()
            if key := request.idempotency_key:
                bound = self.records.remember_key(
                    tx, actor.workspace, key, body_sha256=request.body_sha256, job=job_id, now=now
                )
                if bound is not None:
                    return self._same(tx, actor, key, request, bound), False
            # After the key: what was accepted once stays accepted, whatever has changed meanwhile.
            _refuse(_problems_of_times(request.options, now) + problems)
            if request.replay_of is not None:  # what it reads goes with the other job, which may just have been removed
                self.records.read(tx, actor.workspace, request.replay_of)
            script, version = self.scripts.resolve(tx, actor.workspace, request.script, request.version)
            depth = self.queue.depth(tx, actor.workspace)
            self.quotas.check_submit(tx, actor.workspace, depth=depth, size_bytes=size_bytes)
            job = Job(
                id=job_id,
                workspace=actor.workspace,
                state="queued",
                script=script.id,
                script_name=script.name,
                version=version.id,
                version_number=version.number,
                asked=request.version,
                input=request.input,
                options=request.options,
                created_at=now,
                created_by=actor.member,
                replay_of=request.replay_of,
            )
            self.records.insert(tx, job, _plan(job, spec))
            if request.small is not None:
                self.small.store(tx, {request.input.blob.key: request.small})
            self.quotas.add_stored(tx, actor.workspace, size_bytes)
            self.queue.enqueue(tx, [first_entry(job)])
            self.audit.record(tx, actor, AuditEvent("job.submit", job_id, details={"version": version.id}))
            return job, True

        return accept

    def read(self, job_id: str, *, actor: Actor) -> Job:
        """Return a job as it stands.

        Raises:
            NotFound: when the workspace has none under that id.
        """
        require(actor, "jobs:read")
        with self.database.read() as tx:
            return self.records.read(tx, actor.workspace, job_id)

    def look(self, job_id: str, *, actor: Actor) -> tuple[Job, Waiting | None]:
        """Return a job as it stands, and why it waits, if it does.

        Raises:
            NotFound: when the workspace has none under that id.
        """
        require(actor, "jobs:read")
        with self.database.read() as tx:
            job = self.records.read(tx, actor.workspace, job_id)
            return job, None if job.state in ENDED else self.queue.explain(tx, job.id)

    def list(self, wanted: JobFilter, *, actor: Actor) -> list[Job]:
        """Return jobs, newest first."""
        require(actor, "jobs:read")
        with self.database.read() as tx:
            return self.records.list(tx, actor.workspace, wanted)

    def waiting(self, job_id: str, *, actor: Actor) -> Waiting | None:
        """Return why a job waits; None when it runs or has ended."""
        require(actor, "jobs:read")
        with self.database.read() as tx:
            job = self.records.read(tx, actor.workspace, job_id)
            return None if job.state in ENDED else self.queue.explain(tx, job.id)

    def attempts(self, job_id: str, *, actor: Actor) -> Sequence[PastAttempt]:
        """Return the tries of a job that have ended, the first first."""
        require(actor, "jobs:read")
        with self.database.read() as tx:
            job = self.records.read(tx, actor.workspace, job_id)
            return self.records.past_attempts(tx, actor.workspace, job.id)

    def ended(self, job_ids: Sequence[str]) -> Sequence[Job]:
        """Return those of some jobs that have ended, whosever they are: for doors that wait for whom they let in."""
        with self.database.read() as tx:
            return self.records.ended(tx, job_ids)

    def open_result(self, job_id: str, *, actor: Actor) -> tuple[BlobPointer, Iterator[bytes]]:
        """Return a job's result: what is known of it, and its bytes in blocks.

        Raises:
            Conflict: when the job has none, or none yet.
        """
        job = self._read_data(job_id, "result.read", actor)
        if job.result is None:
            raise _no_result(job)
        return job.result, self.blobs.stream(job.result.key)

    def open_dead_letters(self, job_id: str, *, actor: Actor) -> tuple[BlobPointer, Iterator[bytes]]:
        """Return the records of a job that failed, with their errors, as NDJSON.

        Raises:
            NotFound: when the job has none.
        """
        job = self._read_data(job_id, "dead_letters.read", actor)
        if job.dead_letters is None:
            raise _no_letters(job)
        return job.dead_letters, self.blobs.stream(job.dead_letters.key)

    def cancel(self, job_id: str, *, actor: Actor) -> Job:
        """End a job: at once while it waits, and as soon as its worker hears of it while it runs.

        Raises:
            Conflict: when it has ended already.
        """

        def end(tx: Any) -> Job:
            job = self._own_or_any(tx, job_id, actor)
            if job.state in ENDED:
                raise Conflict(f"job {job.id} has ended already: {job.state}", hint="There is nothing left to cancel.")
            removed = self.queue.cancel(tx, job.id)
            self.records.ask_cancel(tx, job.id, now=self.clock())
            if removed and self.queue.held(tx, job.id) == 0:
                work = self.work.work(tx, [job.id])[job.id]
                ending = Ending(job.id, "cancelled", self.clock())
                end_jobs(tx, [(work, ending)], records=self.work, queue=self.queue)
            self.audit.record(tx, actor, AuditEvent("job.cancel", job.id))
            return self.records.read(tx, actor.workspace, job.id)

        return self.database.write(end)

    def retry(self, job_id: str, *, actor: Actor, idempotency_key: str | None = None) -> Job:
        """Run a job that failed or was cancelled again, as a new job on the same input and the same script version.

        Raises:
            Conflict: when it has not ended, or has succeeded, or the idempotency key was used for something else.
        """
        require(actor, "jobs:write")
        with self.database.read() as tx:
            job = self._own_or_any(tx, job_id, actor)
        if job.state not in ("failed", "cancelled"):
            raise Conflict(
                f"job {job.id} is {job.state}; only one that failed or was cancelled is retried",
                hint="Submit it anew to run it again.",
            )
        return self._again(job, job.input, actor, version=job.version_number, key=idempotency_key)

    def replay(self, job_id: str, *, actor: Actor, version: str = "active", idempotency_key: str | None = None) -> Job:
        """Run the dead letters of a job as the input of a new one.

        Args:
            job_id: the job whose records failed.
            actor: who asks.
            version: the script version to run them with; by default the active one, since it may be corrected by now.
            idempotency_key: the same key makes the same job.

        Raises:
            NotFound: when the job has no dead letters.
        """
        require(actor, "jobs:write")
        with self.database.read() as tx:
            job = self._own_or_any(tx, job_id, actor)
        if job.dead_letters is None:
            raise _no_letters(job)
        letters = JobInput(job.dead_letters, name="dead-letters.ndjson", format="dead-letters")
        return self._again(job, letters, actor, version=version, key=idempotency_key)

    def _again(self, job: Job, input_: JobInput, actor: Actor, *, version: str, key: str | None) -> Job:
        options = dataclasses.replace(job.options, not_before=None, deadline=None)
        request = JobRequest(
            script=job.script,
            version=version,
            input=input_,
            options=options,
            body_sha256=fingerprint(job.id, version, input_.blob.sha256),
            idempotency_key=key,
            replay_of=job.id,
        )
        return self.submit(request, actor=actor)[0]

    def _same(self, tx: Any, actor: Actor, key: str, request: JobRequest, bound: tuple[RunId, str]) -> Job:
        job_id, body_sha256 = bound
        if body_sha256 != request.body_sha256:
            raise Conflict(
                f"the idempotency key {key!r} was used for {job_id}, with another body or other options",
                hint="Use a new key for a new request.",
            )
        try:
            return self.records.read(tx, actor.workspace, job_id)
        except NotFound as error:
            raise NotFound(
                f"job {job_id}, which the idempotency key {key!r} was used for, has ended and was removed",
                hint="It is not run again under this key; use a new key to run it again.",
            ) from error

    def _read_data(self, job_id: str, action: str, actor: Actor) -> Job:
        require(actor, "data:read")

        def read(tx: Any) -> Job:
            job = self.records.read(tx, actor.workspace, job_id)
            self.audit.record(tx, actor, AuditEvent(action, job.id))
            return job

        return self.database.write(read)

    def _own_or_any(self, tx: Any, job_id: str, actor: Actor) -> Job:
        """Return a job that the actor may change: its own, or anybody's for those who operate jobs."""
        job = self.records.read(tx, actor.workspace, job_id)
        require(actor, "jobs:write" if job.created_by == actor.member else "jobs:operate")
        return job


def first_entry(job: Job) -> Entry:
    """Return the first attempt of a job: of the whole, or of cutting a large input into chunks."""
    large = job.input.blob.size_bytes > limits.WHOLE_JOB.value * 2**20
    options = job.options
    return Entry(
        id=EntryId(new_id("att")),
        workspace=job.workspace,
        lane=Lane(job.script),
        run=job.id,
        task=TASK,
        part="split" if large else "whole",
        priority=options.priority,
        attempts_max=options.attempts_max,
        not_before=options.not_before,
        deadline=options.deadline,
    )


def _plan(job: Job, spec: tuple[str, ...]) -> PlannedTask:
    return one_task_plan(TASK, kind="script", spec=(job.version, *spec)).tasks[0]


def _check(options: JobOptions) -> None:
    """Raise RequestInvalid for an option outside its range, all of them at once."""
    parse_error_budget(options.errors_max)
    bounds = {
        "priority": (options.priority, -limits.PRIORITY.value, limits.PRIORITY.value),
        "attempts_max": (options.attempts_max, 1, limits.ATTEMPTS.value),
        "chunk_records": (options.chunk_records, 1, 1_000_000),
        "labels": (len(options.labels), 0, limits.LABELS.value),
    }
    problems = [
        {"place": f"options.{name}", "message": f"{value} is not in {least} to {most}"}
        for name, (value, least, most) in bounds.items()
        if not least <= value <= most
    ]
    for name, value in options.labels.items():
        if not name or max(len(name), len(value)) > limits.LABEL_LENGTH.value:
            problems.append(
                {
                    "place": f"options.labels.{name[:20]}",
                    "message": f"names and values have 1 to {limits.LABEL_LENGTH.value} characters",
                }
            )
    if options.webhook is not None:
        try:
            split_url(options.webhook.url)
        except EgressRefused as error:
            problems.append({"place": "options.webhook.url", "message": error.message})
    _refuse(problems)


def _problems_of_times(options: JobOptions, now: float) -> list[dict[str, str]]:
    """Return what is wrong with the times of a job; a worker that is quick enough would not see a deadline passed."""
    deadline, not_before = options.deadline, options.not_before
    problems = []
    for name, moment in (("not_before", not_before), ("deadline", deadline)):
        if moment is not None and not 0 <= moment <= now + limits.AHEAD.value * _DAY_S:
            message = f"it must lie between 1970 and {limits.AHEAD.value} days from now, the limit `ahead`"
            problems.append({"place": f"options.{name}", "message": message})
    if problems or deadline is None:
        return problems
    if deadline <= now:
        problems.append({"place": "options.deadline", "message": f"it passed {now - deadline:,.0f} s ago"})
    elif not_before is not None and deadline <= not_before:
        message = f"it must lie after options.not_before, which is {iso(not_before)}: the job could never start"
        problems.append({"place": "options.deadline", "message": message})
    return problems


def _refuse(problems: list[dict[str, str]]) -> None:
    if problems:
        raise RequestInvalid(
            f"{problems[0]['place']}: {problems[0]['message']}", hint="Correct the options.", problems=problems
        )


def _no_result(job: Job) -> Conflict:
    if job.state == "succeeded":
        return Conflict(f"the result of job {job.id} was deleted", hint="Retry the job to make it again.")
    hint = "Wait until it has succeeded." if job.state not in ENDED else f"See why: penstock jobs show {job.id}"
    return Conflict(f"job {job.id} has no result: it is {job.state}", hint=hint)


def _no_letters(job: Job) -> NotFound:
    return NotFound(f"job {job.id} has no dead letters", hint="They appear when the job has ended, if records failed.")
