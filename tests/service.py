"""A job service without doors or sandbox: use cases on a real database, and a worker whose work is data of the test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from penstock.access.audit import SqlAudit
from penstock.access.quotas import SqlQuotas
from penstock.base.ids import new_id
from penstock.core.access import PERMISSIONS, Actor, MemberId, Role, WorkspaceId
from penstock.core.jobs import AttemptReport, Job, JobInput, JobOptions, JobRequest, small_blob
from penstock.core.work import Assignment, Ended, Round, WorkerState
from penstock.database.opening import SqlDatabase
from penstock.database.schema import members, scripts, versions, workspaces
from penstock.queue.sql_queue import SqlQueue
from penstock.storage.blobs.memory import MemoryBlobs
from penstock.storage.blobs.small import BlobsWithSmall, SmallBlobRows
from penstock.storage.job_records import SqlJobRecords
from penstock.storage.run_records import SqlRunRecords
from penstock.storage.script_records import SqlScriptRecords
from penstock.storage.work_records import SqlWorkRecords
from penstock.usecases.jobs import Jobs
from penstock.usecases.run_work import RunWork
from penstock.usecases.work import Work

NOW = 1_790_000_000.0
CODE = b"def process(data):\n    return data\n"


@dataclass(slots=True)
class FakeClock:
    """Seconds since 1970 that pass when a test says so."""

    now: float = NOW

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class NoSecrets:
    """A SecretReader whose secrets are all the same."""

    def resolve(self, tx: Any, workspace: WorkspaceId, name: str) -> bytes:
        """Return the secret."""
        return b"whsec"


class NoBells:
    """Bells that nobody hears."""

    def ring(self, name: str) -> None:
        """Do nothing."""


@dataclass(slots=True)
class Service:
    """Use cases on one database."""

    database: SqlDatabase
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryBlobs = field(default_factory=MemoryBlobs)
    queue: SqlQueue = field(init=False)
    jobs: Jobs = field(init=False)
    work: Work = field(init=False)

    def __post_init__(self) -> None:
        small = SmallBlobRows()
        blobs = BlobsWithSmall(self.database, self.store, small)
        self.queue = SqlQueue(self.database, self.clock)
        records = SqlJobRecords(), SqlWorkRecords(), SqlScriptRecords(), self.queue, blobs, small
        quotas, audit = SqlQuotas(self.clock), SqlAudit(self.clock)
        self.jobs = Jobs(self.database, *records, quotas, audit, self.clock, lambda _hook, _workspace: [])
        runs = RunWork(SqlRunRecords(), self.queue, self.clock)
        self.work = Work(self.database, *records, quotas, NoSecrets(), NoBells(), runs, self.clock)

    def actor(self, workspace: str = "ws_1", *, role: Role = "admin", name: str = "ada") -> Actor:
        """Make a workspace with a script `clean` whose version 1.0.0 is active, and a member of it."""
        member = MemberId(f"mem_{workspace}_{name}")

        def create(tx: Any) -> None:
            by = {"workspace": workspace, "created_at": self.clock(), "created_by": member}
            if tx.execute(workspaces.select().where(workspaces.c.id == workspace)).first() is None:
                tx.execute(workspaces.insert().values(id=workspace, name=workspace, created_at=self.clock()))
                script = {"id": f"scr_{workspace}", "name": "clean", "language": "python", **by}
                tx.execute(scripts.insert().values(active_version=f"ver_{workspace}", **script))
                tx.execute(versions.insert().values(_version(workspace, self.clock()) | by))
            if tx.execute(members.select().where(members.c.id == member)).first() is None:
                tx.execute(members.insert().values(id=member, name=name, role=role, **by))

        self.database.write(create)
        self.store.put(f"{workspace}/code/1", CODE)
        return Actor(WorkspaceId(workspace), member, name, role, PERMISSIONS[role])

    def submit(self, actor: Actor, data: bytes = b'{"a":1}\n', *, key: str | None = None, **options: Any) -> Job:
        """Submit a job with a small input."""
        blob = small_blob(f"{actor.workspace}/inputs/{new_id('inp')}", data)
        request = JobRequest(
            script="clean",
            version=options.pop("version", "active"),
            input=JobInput(blob),
            options=JobOptions(**options),
            body_sha256=blob.sha256,
            idempotency_key=key,
            small=data,
        )
        return self.jobs.submit(request, actor=actor)[0]

    def submit_large(self, actor: Actor, *, size_bytes: int = 5 * 2**20, **options: Any) -> Job:
        """Submit a job whose input is too large for one attempt."""
        blob = self.store.put(f"{actor.workspace}/inputs/{new_id('inp')}", b"x" * size_bytes)
        request = JobRequest("clean", "active", JobInput(blob), JobOptions(**options), blob.sha256)
        return self.jobs.submit(request, actor=actor)[0]

    def round(self, *ended: Ended, count: int = 16, worker: str = "wrk_1") -> Round:
        """Do a worker's round."""
        return self.work.round(worker, ended, count=count)

    def ended(self, assignment: Assignment, **report: Any) -> Ended:
        """Return the end of an attempt that took a second."""
        finished = AttemptReport(**{"outcome": "succeeded", "report": account()} | report)
        return Ended(assignment.lease, finished, self.clock() - 1, self.clock())

    def state(self, *, busy: int = 0) -> WorkerState:
        """Return a worker."""
        return WorkerState("wrk_1", "host", 1, "active", 4, busy, "landlock+seccomp", self.clock())


def account(records: int = 1, *, failed: int = 0) -> dict[str, Any]:
    """Return the report of a part whose records gave one row each, but for those that failed."""
    produced = records - failed
    return {"records": records, "produced": produced, "dropped": 0, "failed": failed, "rows": produced, "causes": []}


def _version(workspace: str, now: float) -> dict[str, Any]:
    return {
        "id": f"ver_{workspace}",
        "script": f"scr_{workspace}",
        "version": "1.0.0",
        "state": "published",
        "profile": "std",
        "tier": "isolated",
        "code_key": f"{workspace}/code/1",
        "code_sha256": hashlib.sha256(CODE).hexdigest(),
        "code_bytes": len(CODE),
        "hash": f"hash-{workspace}",
        "limits": "{}",
        "updated_at": now,
        "updated_by": "mem",
        "published_at": now,
    }
