"""A server's use cases in this process, and real workers beside it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import PERMISSIONS, Actor, MemberId, WorkspaceId
from penstock.core.jobs import ENDED, Job, JobInput, JobOptions, JobRequest, small_blob
from penstock.core.plan import RunId
from penstock.database.schema import members, runs, scripts, versions, workspaces
from penstock.wiring.server import Server, open_server
from penstock.wiring.settings import read_settings

DOUBLE = b"def process(data):\n    return {'a': data['a'] * 2}\n"
_LIMITS_OF = {"isolated": "{}", "warm": "{}"}


@dataclass(slots=True)
class Worker:
    """One `penstock worker`."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The supervisor's number."""
        return self.process.pid

    def runners(self) -> list[int]:
        """Return the numbers of its runners."""
        found = []
        for pid in _children_of(self.pid):
            with contextlib.suppress(OSError):
                if b"penstock.worker.runner" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def wait_ready(self, runners: int = 1, *, timeout_s: float = 60.0) -> None:
        """Wait until so many runners have started."""
        deadline_s = time.monotonic() + timeout_s
        while self.log.read_text().count("runner.started") < runners:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline_s, self.log.read_text()
            time.sleep(0.02)

    def stop(self) -> int:
        """Let it drain, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """Kill the supervisor as nothing can be caught."""
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Site:
    """A server's use cases, and where its workers find the same database and blobs."""

    server: Server
    environment: Mapping[str, str]
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    def start_worker(self, *, runners: int = 1, ready: bool = True) -> Worker:
        """Start a worker."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "penstock", "worker", "--runners", str(runners)],
                env={**os.environ, **self.environment},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        if ready:
            worker.wait_ready(runners)
        return worker

    def actor(self, workspace: str = "ws_1") -> Actor:
        """Return an admin of a workspace, made when it is not there."""
        member = MemberId(f"mem_{workspace}")

        def create(tx: Any) -> None:
            if tx.execute(workspaces.select().where(workspaces.c.id == workspace)).first() is None:
                now = time.time()
                tx.execute(workspaces.insert().values(id=workspace, name=workspace, created_at=now))
                row = {"id": member, "workspace": workspace, "name": "ada", "role": "admin", "created_at": now}
                tx.execute(members.insert().values(row))

        self.server.database.write(create)
        return Actor(WorkspaceId(workspace), member, "ada", "admin", PERMISSIONS["admin"])

    def publish(
        self, actor: Actor, code: bytes = DOUBLE, *, name: str = "clean", tier: str = "isolated", **more: Any
    ) -> str:
        """Publish and activate a script of one version, without its examples; return its name."""
        script, version, now = new_id("scr"), new_id("ver"), time.time()
        key = f"{actor.workspace}/code/{version}"
        pointer = self.server.blobs.put(key, code)
        by = {"workspace": actor.workspace, "created_at": now, "created_by": actor.member}
        row = {
            "id": version,
            "script": script,
            "version": "1.0.0",
            "state": "published",
            "profile": "std",
            "tier": tier,
            "code_key": key,
            "code_sha256": pointer.sha256,
            "code_bytes": len(code),
            "hash": f"{version}-hash",
            "limits": "{}",
            "updated_at": now,
            "updated_by": actor.member,
            "published_at": now,
        }

        def create(tx: Any) -> None:
            values = {"id": script, "name": name, "language": "python", "active_version": version, **by}
            tx.execute(scripts.insert().values(values))
            tx.execute(versions.insert().values(row | by | more))

        self.server.database.write(create)
        return name

    def submit(
        self,
        actor: Actor,
        data: bytes = b'{"a":1}\n',
        *,
        script: str = "clean",
        name: str = "records.ndjson",
        format_: str | None = "ndjson",
        encoding: Any = "identity",
        **options: Any,
    ) -> Job:
        """Submit a job."""
        small = data if len(data) <= limits.SMALL_BLOB.value * 1024 else None
        key = f"{actor.workspace}/inputs/{new_id('inp')}"
        blob = small_blob(key, data) if small is not None else self.server.blobs.put(key, data)
        request = JobRequest(
            script=script,
            version="active",
            input=JobInput(blob, name, format_, encoding),
            options=JobOptions(**options),
            body_sha256=blob.sha256,
            small=small,
        )
        return self.server.jobs.submit(request, actor=actor)[0]

    def job(self, actor: Actor, job: RunId) -> Job:
        """Return a job as it stands."""
        with self.server.database.read() as tx:
            return self.server.jobs.records.read(tx, actor.workspace, job)

    def states(self, jobs: Sequence[RunId]) -> dict[RunId, str]:
        """Return the states of jobs."""
        query = sqlalchemy.select(runs.c.id, runs.c.state).where(runs.c.id.in_(list(jobs)))
        with self.server.database.read() as tx:
            return {row.id: row.state for row in tx.execute(query)}

    def wait(self, actor: Actor, jobs: Sequence[RunId], *, timeout_s: float = 30.0) -> list[Job]:
        """Wait until all jobs have ended, and return them."""
        deadline_s = time.monotonic() + timeout_s
        done: dict[RunId, Job] = {}
        while True:
            for job in jobs:
                if job not in done and (found := self.job(actor, job)).state in ENDED:
                    done[job] = found
            if len(done) == len(set(jobs)):
                return [done[job] for job in jobs]
            waiting = [job for job in jobs if job not in done]
            assert time.monotonic() < deadline_s, f"{len(waiting)} of {len(jobs)} jobs have not ended: {self.logs()}"
            time.sleep(0.01)

    def bytes_of(self, pointer: Any) -> bytes | None:
        """Return what lies behind a pointer."""
        return None if pointer is None else b"".join(self.server.blobs.stream(pointer.key))

    def logs(self) -> str:
        """Return the end of each worker's log."""
        return "\n".join(worker.log.read_text()[-2000:] for worker in self.workers)


@contextlib.contextmanager
def open_site(folder: Path, **environment: str) -> Iterator[Site]:
    """Open a server in a folder; every worker is ended with it."""
    given = {"PENSTOCK_HOME": str(folder / "home"), **environment}
    with open_server(read_settings(given), create=True) as server:
        site = Site(server, given, folder)
        try:
            yield site
        finally:
            for worker in site.workers:
                if worker.process.poll() is None:
                    worker.stop()


def _children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    found = [int(word) for word in text.split()]
    for task in Path(f"/proc/{pid}/task").iterdir():  # a thread of it may have started them
        with contextlib.suppress(OSError):
            found += [int(word) for word in (task / "children").read_text().split()]
    return sorted(set(found))
