"""The parts of a server put together: database, queue, blobs, access, and the use cases on top of them."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.access.alerts import ProcessSender
from penstock.access.workspaces import SqlWorkspaces
from penstock.core.errors import SchemaUnknown, SettingInvalid
from penstock.core.ports import Blobs, Clock, Lake
from penstock.core.ports.access import Egress
from penstock.core.settings import HOME, Settings
from penstock.database.bells import Bells
from penstock.database.opening import SqlDatabase, open_database
from penstock.database.versioning import prepare, require_schema
from penstock.queue.sql_queue import SqlQueue
from penstock.sandbox.heavy import HeavySandbox
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.alert_records import SqlAlertRecords
from penstock.storage.blobs.small import BlobsWithSmall, SmallBlobRows
from penstock.storage.figures import SqlFigures
from penstock.storage.job_records import SqlJobRecords
from penstock.storage.project_records import SqlProjectRecords
from penstock.storage.retention_records import SqlRetentionRecords
from penstock.storage.run_records import SqlRunRecords
from penstock.storage.run_upkeep_records import SqlRunUpkeepRecords
from penstock.storage.script_records import SqlScriptRecords
from penstock.storage.work_records import SqlWorkRecords
from penstock.usecases.alerts import Alerts, Incidents
from penstock.usecases.approvals import Approvals
from penstock.usecases.audit import AuditLog
from penstock.usecases.health import HealthChecks
from penstock.usecases.jobs import Jobs
from penstock.usecases.keys import Keys
from penstock.usecases.members import Members
from penstock.usecases.quotas import QuotaUse
from penstock.usecases.retention import Retention
from penstock.usecases.run_upkeep import RunUpkeep
from penstock.usecases.run_work import RunWork
from penstock.usecases.schedules import Schedules
from penstock.usecases.secrets import Secrets
from penstock.usecases.trials import Trials
from penstock.usecases.uploads import Uploads
from penstock.usecases.versions import Scripts
from penstock.usecases.webhooks import WebhookChecks
from penstock.usecases.work import Work
from penstock.usecases.workspaces import Workspaces
from penstock.wiring.access import Access, assemble_access
from penstock.wiring.lake import lazy_lake
from penstock.wiring.stores import open_store

if TYPE_CHECKING:
    from penstock.core.access import WorkspaceId
    from penstock.core.projects import Project
    from penstock.usecases.projects import Projects
    from penstock.usecases.runs import Runs
    from penstock.usecases.tables import Tables
    from penstock.wiring.pipelines import Pipelines


@dataclass(frozen=True, slots=True)
class Server:
    """What the doors of a server use."""

    settings: Settings
    clock: Clock
    database: SqlDatabase
    queue: SqlQueue
    bells: Bells
    blobs: Blobs
    jobs: Jobs
    work: Work
    uploads: Uploads
    health: HealthChecks
    workspaces: Workspaces
    members: Members
    keys: Keys
    quotas: QuotaUse
    secrets: Secrets
    audit_log: AuditLog
    egress: Egress
    sandbox: StrictSandbox  # nothing of it is started before somebody tries or publishes a version
    scripts: Scripts
    approvals: Approvals
    retention: Retention
    lake: Lake
    engines: HeavySandbox
    schedules: Schedules
    upkeep: RunUpkeep
    incidents: Incidents
    alerts: Alerts
    pipelines: Callable[[], Pipelines]  # made when first needed: half of a second that a supervisor does without

    @property
    def projects(self) -> Projects:
        """What can be asked of projects."""
        return self.pipelines().projects

    @property
    def runs(self) -> Runs:
        """What can be asked of runs."""
        return self.pipelines().runs

    @property
    def tables(self) -> Tables:
        """What can be asked of tables."""
        return self.pipelines().tables


@contextlib.contextmanager
def open_server(
    settings: Settings, *, clock: Clock = time.time, create: bool = False, alerts: bool = True
) -> Iterator[Server]:
    """Put a server's parts together, and close them at the end.

    Args:
        settings: what it was told.
        clock: gives seconds since 1970.
        create: whether an empty database gets its tables; else it is refused like one of another version.
        alerts: whether incidents are noted, for a worker to tell people of them.

    Raises:
        SchemaUnknown: when the database is not there, or not one that this version works with.
        SettingInvalid: when a setting is not valid.
    """
    if settings.embedded and not create:
        _require_file(settings)
    if settings.embedded:
        _make_home(Path(settings.home))
    with (
        contextlib.closing(open_database(settings.database_url)) as database,
        contextlib.closing(StrictSandbox()) as sandbox,
        contextlib.closing(Bells(Path(settings.home) / "bells")) as bells,
    ):
        prepare(database) if create else require_schema(database)
        engines, small = HeavySandbox(), SmallBlobRows()
        with (
            lazy_lake(settings, database, clock, strict=sandbox, heavy=engines) as lake,
            contextlib.closing(SqlQueue(database, clock, bells=bells)) as queue,
        ):
            access = assemble_access(settings, database, queue, clock)
            blobs = BlobsWithSmall(database, open_store(settings), small)
            base = _Base(
                settings, database, sandbox, bells, clock, lake, engines, queue, access, blobs=blobs, small=small
            )
            yield _assemble(base, alerts=alerts)


def _require_file(settings: Settings) -> None:
    """Refuse a database that is not there: whoever is in another folder than the server would look at an empty one."""
    path = Path(settings.database_url.removeprefix("sqlite:///"))
    if not path.exists():
        raise SchemaUnknown(
            f"there is no records database {path}",
            hint=f"Run this in the folder where `penstock up` runs, or set {HOME.name}; a new server needs"
            " `penstock up`, or `penstock db upgrade` first.",
        )


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingInvalid(
            f"the folder {home} cannot be made: {error.strerror}",
            hint=f"Start it in a folder that you may write to, or set {HOME.name}.",
        ) from error


@dataclass(frozen=True, slots=True)
class _Base:
    """What everything else stands on."""

    settings: Settings
    database: SqlDatabase
    sandbox: StrictSandbox
    bells: Bells
    clock: Clock
    lake: Lake
    engines: HeavySandbox
    queue: SqlQueue
    access: Access
    blobs: BlobsWithSmall
    small: SmallBlobRows


@dataclass(frozen=True, slots=True)
class _OfRuns:
    """What is there for runs of pipelines."""

    work: RunWork
    schedules: Schedules
    upkeep: RunUpkeep
    incidents: Incidents
    alerts: Alerts
    pipelines: Callable[[], Pipelines]


def _assemble(base: _Base, *, alerts: bool) -> Server:
    database, queue, access, blobs, clock = base.database, base.queue, base.access, base.blobs, base.clock
    audit, quotas, secrets = access.audit, access.quota_records, access.secret_records
    records = SqlJobRecords(), SqlWorkRecords(), SqlScriptRecords()
    hooks = WebhookChecks(database, SqlWorkspaces(clock), secrets, access.egress)
    of_runs = _assemble_runs(base, alerts=alerts)
    stores = queue, blobs, base.small
    return Server(
        base.settings,
        clock,
        database,
        queue,
        base.bells,
        blobs,
        jobs=Jobs(database, *records, *stores, quotas, audit, clock, hooks.problems),
        work=Work(database, *records, *stores, quotas, secrets, base.bells, of_runs.work, clock),
        uploads=Uploads(database, blobs, quotas),
        health=HealthChecks(database, blobs, SqlFigures(), clock, base.settings.folders),
        workspaces=access.workspaces,
        members=access.members,
        keys=access.keys,
        quotas=access.quotas,
        secrets=access.secrets,
        audit_log=access.audit_log,
        egress=access.egress,
        sandbox=base.sandbox,
        scripts=Scripts(database, SqlScriptRecords(), blobs, queue, quotas, audit, Trials(base.sandbox), clock),
        approvals=Approvals(database, SqlScriptRecords(), audit, clock),
        retention=Retention(database, SqlRetentionRecords(), blobs, quotas, audit, clock),
        lake=base.lake,
        engines=base.engines,
        schedules=of_runs.schedules,
        upkeep=of_runs.upkeep,
        incidents=of_runs.incidents,
        alerts=of_runs.alerts,
        pipelines=of_runs.pipelines,
    )


def _assemble_runs(base: _Base, *, alerts: bool) -> _OfRuns:
    database, queue, clock = base.database, base.queue, base.clock
    told, workspaces = SqlAlertRecords(), SqlWorkspaces(clock)
    incidents = Incidents(database, told, SqlRunRecords(), SqlProjectRecords(), workspaces, clock)
    work = RunWork(SqlRunRecords(), queue, clock, *([incidents.note_end] if alerts else []))

    @functools.cache
    def pipelines() -> Pipelines:
        from penstock.wiring.pipelines import assemble_pipelines

        return assemble_pipelines(
            base.settings,
            database,
            blobs=base.blobs,
            audit=base.access.audit,
            clock=clock,
            queue=queue,
            run_work=work,
            lake=base.lake,
            heavy=base.engines,
        )

    def project(workspace: WorkspaceId, name: str, revision: str) -> Project:
        return pipelines().projects.loaded(workspace, name, revision)

    records = SqlProjectRecords(), SqlRunRecords()
    return _OfRuns(
        work,
        Schedules(database, *records, work, queue, lambda: pipelines().runs, clock),
        RunUpkeep(database, SqlRunUpkeepRecords(), base.lake, clock),
        incidents,
        Alerts(database, told, workspaces, base.access.secret_records, ProcessSender(), project, clock),
        pipelines,
    )
