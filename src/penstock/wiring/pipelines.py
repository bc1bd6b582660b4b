"""Pipelines put together: what people ask for of them, and what carries out their tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.base.lazily import LazyMapping
from penstock.core.access import Destination, WorkspaceId
from penstock.core.ports import Audit, Blobs, Clock, Connector, Database, Lake, Queue, RunTaskKind
from penstock.core.settings import Settings
from penstock.sandbox.heavy import HeavySandbox
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.project_records import SqlProjectRecords
from penstock.storage.run_records import SqlRunRecords
from penstock.usecases.projects import Projects
from penstock.usecases.run_work import RunWork
from penstock.usecases.runs import Runs
from penstock.usecases.tables import Tables
from penstock.wiring.registry import registered_scripts

if TYPE_CHECKING:
    from penstock.execution.task_attempts import TaskAttempts

ATTEMPTS = "attempts"
Secret = Callable[[str, str], str]
Resolve = Callable[[str, str], Destination]


@dataclass(frozen=True, slots=True)
class Pipelines:
    """What doors use of pipelines."""

    projects: Projects
    runs: Runs
    tables: Tables


def task_kinds() -> Mapping[str, RunTaskKind]:
    """Return the kinds of tasks that pipelines have; they are loaded when first looked at."""

    def kinds() -> Mapping[str, RunTaskKind]:
        from penstock.checks.judging import GxSuites
        from penstock.tasks import run_kinds

        return run_kinds(suites=GxSuites(), connectors=connection_kinds())

    return LazyMapping(kinds)


def connection_kinds() -> Mapping[str, Connector]:
    """Return the kinds of connections; they are loaded when first looked at."""

    def kinds() -> Mapping[str, Connector]:
        from penstock.connectors import connectors

        return connectors()

    return LazyMapping(kinds)


def assemble_projects(database: Database, blobs: Blobs, audit: Audit, clock: Clock) -> Projects:
    """Return what can be asked of projects."""
    return Projects(database, SqlProjectRecords(), blobs, audit, clock, task_kinds(), connection_kinds())


def assemble_pipelines(
    settings: Settings,
    database: Database,
    *,
    blobs: Blobs,
    audit: Audit,
    clock: Clock,
    queue: Queue,
    run_work: RunWork,
    lake: Lake,
    heavy: HeavySandbox,
) -> Pipelines:
    """Return what people ask for of pipelines."""
    projects = assemble_projects(database, blobs, audit, clock)
    records = SqlRunRecords()
    return Pipelines(
        projects,
        Runs(
            database,
            records,
            projects,
            run_work,
            queue,
            lake,
            audit,
            clock,
            projects.kinds,
            registered_scripts(database, blobs),
        ),
        Tables(database, lake, heavy, audit, Path(settings.home) / ATTEMPTS),
    )


def assemble_attempts(
    settings: Settings,
    database: Database,
    *,
    projects: Projects,
    clock: Clock,
    lake: Lake,
    strict: StrictSandbox,
    heavy: HeavySandbox,
    secret: Secret,
    resolve: Resolve,
    files: Callable[[WorkspaceId], Path | None],
    parallel: int,
    files_room: Callable[[str], int | None] = lambda _workspace: None,
) -> TaskAttempts:
    """Return what carries out attempts of runs."""
    from penstock.checks.judging import GxSuites
    from penstock.execution.task_attempts import TaskAttempts
    from penstock.execution.task_parts import TaskParts
    from penstock.sandbox.raw import open_raw
    from penstock.storage.attempt_records import SqlAttemptRecords

    parts = TaskParts(
        database=database,
        records=SqlAttemptRecords(),
        lake=lake,
        engines=heavy,
        sandbox=strict,
        suites=GxSuites(),
        connectors=projects.connection_kinds,
        secret=secret,
        resolve=resolve,
        raw=partial(open_raw, strict, parallel=parallel),
        clock=clock,
        parallel=parallel,
        files_room=files_room,
        script=registered_scripts(database, projects.blobs),
    )
    return TaskAttempts(
        parts,
        SqlRunRecords(),
        projects.kinds,
        lambda workspace, project, revision: projects.loaded(workspace, project, revision),
        Path(settings.home) / ATTEMPTS,
        files,
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
