"""What carries out attempts of pipelines in a process of a server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.access.audit import SqlAudit
from penstock.access.egress import HttpEgress
from penstock.access.master import load_master_keys
from penstock.access.quotas import SqlQuotas
from penstock.access.secrets import SqlSecrets
from penstock.access.workspaces import SqlWorkspaces
from penstock.core.access import Destination, WorkspaceId
from penstock.core.ports import Database
from penstock.core.settings import Settings
from penstock.database.opening import open_database
from penstock.execution.task_attempts import TaskAttempts
from penstock.sandbox.heavy import HeavySandbox
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.blobs.small import BlobsWithSmall, SmallBlobRows
from penstock.wiring.lake import lazy_lake
from penstock.wiring.pipelines import assemble_attempts, assemble_projects, cores
from penstock.wiring.stores import open_store


@contextlib.contextmanager
def open_task_attempts(settings: Settings, *, strict: StrictSandbox) -> Iterator[TaskAttempts]:
    """Put together what carries out attempts of pipelines, and close it at the end."""
    clock, heavy = time.time, HeavySandbox()
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(contextlib.closing(open_database(settings.database_url)))
        lake = stack.enter_context(lazy_lake(settings, database, clock, strict=strict, heavy=heavy))
        blobs = BlobsWithSmall(database, open_store(settings), SmallBlobRows())
        yield assemble_attempts(
            settings,
            database,
            projects=assemble_projects(database, blobs, SqlAudit(clock), clock),
            clock=clock,
            lake=lake,
            strict=strict,
            heavy=heavy,
            secret=_secrets(settings, database),
            resolve=_resolving(database),
            files=lambda workspace: Path(settings.files, workspace) if settings.files else None,
            parallel=cores(),
            files_room=_files_room(database),
        )


def _secrets(settings: Settings, database: Database) -> Callable[[str, str], str]:
    master = load_master_keys(settings.master_key, home=Path(settings.home), embedded=settings.embedded)
    secrets = SqlSecrets(time.time, master)

    def secret(workspace: str, name: str) -> str:
        with database.read() as tx:
            return secrets.resolve(tx, WorkspaceId(workspace), name).decode()

    return secret


def _files_room(database: Database) -> Callable[[str], int]:
    quotas = SqlQuotas(time.time)

    def files_room(workspace: str) -> int:
        with database.read() as tx:
            usage = quotas.read(tx, WorkspaceId(workspace))
        return usage.quotas.stored_bytes_max - usage.stored_bytes

    return files_room


def _resolving(database: Database) -> Callable[[str, str], Destination]:
    egress, workspaces = HttpEgress(), SqlWorkspaces(time.time)

    def resolve(workspace: str, url: str) -> Destination:
        with database.read() as tx:
            policy = workspaces.get(tx, WorkspaceId(workspace)).policy
        return egress.check(url, policy=policy)

    return resolve
