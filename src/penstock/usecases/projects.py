"""What people can ask for of projects: to deploy one, and what is deployed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from penstock.base.nearest import nearest
from penstock.core import limits
from penstock.core.access import Actor, AuditEvent, WorkspaceId
from penstock.core.errors import Bug, NotFound, ProjectInvalid, TableOwned
from penstock.core.ports import Audit, Blobs, Clock, ConnectionKind, Database, RunTaskKind
from penstock.core.ports.runs import ProjectRecords
from penstock.core.project_files import check_project_files
from penstock.core.projects import Pipeline, Project, ProjectProblem
from penstock.core.runs import Revision, ScheduleState
from penstock.core.tables import TableName
from penstock.planning.schedules import next_at
from penstock.usecases.permissions import require

_LOADED_MAX: Final = 64


@dataclass(slots=True)
class _Loaded:
    """Projects by workspace and revision; a revision never changes."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[tuple[WorkspaceId, str], Project] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Projects:
    """What can be asked of projects.

    Attributes:
        kinds: of tasks, by name.
        connection_kinds: of connections, by name.
    """

    database: Database
    records: ProjectRecords
    blobs: Blobs
    audit: Audit
    clock: Clock
    kinds: Mapping[str, RunTaskKind]
    connection_kinds: Mapping[str, ConnectionKind]
    _loaded: _Loaded = field(default_factory=_Loaded)

    def check(self, files: Mapping[str, bytes]) -> Project:
        """Return the project that files make.

        Raises:
            ProjectInvalid: with every problem of every file.
        """
        from penstock.project.loading import load_project  # which loads what most commands do without

        check_project_files(files)
        return load_project(files, kinds=self.kinds, connection_kinds=self.connection_kinds)

    def deploy(self, files: Mapping[str, bytes], *, actor: Actor, note: str = "") -> Revision:
        """Keep a state of a project's files, and let runs and schedules use it from now on.

        Raises:
            ProjectInvalid: with every problem of every file, and every table that another project writes; then nothing
                changes.
        """
        require(actor, "pipelines:deploy")
        return self.deploy_checked(self.check(files), actor=actor, note=note)

    def deploy_checked(self, project: Project, *, actor: Actor, note: str = "") -> Revision:
        """Do the same with a project that its files have just made."""
        require(actor, "pipelines:deploy")
        with self.database.read() as tx:
            others = self.records.tables_of_others(tx, actor.workspace, project.name)
        if owned := list(_owned(project, others)):
            raise ProjectInvalid(owned[: limits.PROJECT_PROBLEMS.value])
        now = self.clock()
        key = f"{actor.workspace}/projects/{project.name}/{project.revision}.tar.gz"
        revision = Revision(
            workspace=actor.workspace,
            project=project.name,
            revision=project.revision,
            blob=self.blobs.put(key, pack(project.files)),
            files=len(project.files),
            created_at=now,
            created_by=actor.member,
            active=True,
            note=note,
        )

        def write(tx: Any) -> Revision:
            self.records.add_revision(tx, revision)
            self._activate(tx, project, actor, now)
            return self.records.revision(tx, actor.workspace, project.name, project.revision)

        return self.database.write(write)

    def activate(self, project: str, revision: str, *, actor: Actor) -> Revision:
        """Let runs and schedules use an earlier revision again."""
        require(actor, "pipelines:deploy")
        found = self.load(project, actor=actor, revision=revision)

        def write(tx: Any) -> Revision:
            self._activate(tx, found, actor, self.clock())
            return self.records.revision(tx, actor.workspace, project, found.revision)

        return self.database.write(write)

    def list(self, *, actor: Actor, after: str = "", limit: int = limits.LISTED.value) -> Sequence[Revision]:
        """Return the projects of the workspace, by name: the active revision of each."""
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            return self.records.active_revisions(tx, actor.workspace, after=after, limit=limit)

    def revision(self, project: str, *, actor: Actor, revision: str | None = None) -> Revision:
        """Return a revision of a project; the active one when none is named.

        Raises:
            NotFound: when the workspace has no such project or revision.
        """
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            return self.records.revision(tx, actor.workspace, project, revision)

    def revisions(
        self, project: str, *, actor: Actor, before: str | None = None, limit: int = limits.LISTED.value
    ) -> Sequence[Revision]:
        """Return the revisions of a project, the newest first; those before a revision, if one is named.

        Raises:
            NotFound: when the workspace has no such project.
        """
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            self.records.revision(tx, actor.workspace, project)
            return self.records.revisions(tx, actor.workspace, project, before=before, limit=limit)

    def load(self, project: str, *, actor: Actor, revision: str | None = None) -> Project:
        """Return a project as it was deployed; the active revision when none is named.

        Raises:
            NotFound: when the workspace has no such project or revision.
        """
        require(actor, "pipelines:read")
        return self.loaded(actor.workspace, project, revision)

    def loaded(self, workspace: WorkspaceId, project: str, revision: str | None = None) -> Project:
        """Return a project as it was deployed: for the service itself."""
        kept = self._loaded.kept
        if revision is not None and (found := kept.get((workspace, revision))) is not None and found.name == project:
            return found
        with self.database.read() as tx:
            known = self.records.revision(tx, workspace, project, revision)
        if (found := kept.get((workspace, known.revision))) is not None:
            return found
        data = b"".join(self.blobs.stream(known.blob.key))
        if hashlib.sha256(data).hexdigest() != known.blob.sha256:
            raise Bug(f"revision {known.revision} is not what was deployed", hint="Look at the blob store.")
        found = self.check(unpack(data))
        with self._loaded.lock:
            if len(kept) >= _LOADED_MAX:
                kept.clear()
            kept[workspace, known.revision] = found
        return found

    def keep(self, workspace: WorkspaceId, project: Project) -> None:
        """Remember a project that was loaded elsewhere: a revision is the same wherever it comes from."""
        with self._loaded.lock:
            self._loaded.kept[workspace, project.revision] = project

    def schedules(self, *, actor: Actor, project: str | None = None) -> Sequence[ScheduleState]:
        """Return the schedules of the workspace's projects."""
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            return self.records.schedules(tx, actor.workspace, project)

    def pause(self, project: str, pipeline: str, *, actor: Actor, paused: bool) -> ScheduleState:
        """Keep a schedule from making runs, or let it go on: from now on, or with what it missed where it catches up.

        Raises:
            NotFound: when there is no such schedule.
        """
        require(actor, "pipelines:deploy")

        def write(tx: Any) -> ScheduleState:
            found = {state.pipeline: state for state in self.records.schedules(tx, actor.workspace, project)}
            if pipeline not in found:
                raise NotFound(f"{project} has no pipeline {pipeline!r} with a schedule", hint=nearest(pipeline, found))
            state = replace(found[pipeline], paused=paused)
            self.records.move_schedule(tx, state)
            action = "schedule.pause" if paused else "schedule.resume"
            self.audit.record(tx, actor, AuditEvent(action, f"{project}/{pipeline}"))
            return state

        return self.database.write(write)

    def _activate(self, tx: Any, project: Project, actor: Actor, now: float) -> None:
        self.records.activate(tx, actor.workspace, project.name, project.revision, by=actor.member, now=now)
        known = {state.pipeline: state for state in self.records.schedules(tx, actor.workspace, project.name)}
        states = [
            _schedule(known.get(pipeline.name), actor.workspace, project, pipeline, now)
            for pipeline in project.pipelines.values()
            if pipeline.schedule is not None
        ]
        self.records.put_schedules(tx, actor.workspace, project.name, states, now=now)
        details: dict[str, str | int | float | bool | None] = {
            "revision": project.revision,
            "files": len(project.files),
        }
        self.audit.record(tx, actor, AuditEvent("project.deploy", project.name, details=details))


def _owned(project: Project, others: Mapping[TableName, tuple[str, str]]) -> Iterator[ProjectProblem]:
    """Yield the tables that a project would write and another one writes: its runs would fail there."""
    for pipeline in project.pipelines.values():
        for task in pipeline.tasks.values():
            for table in task.writes:
                if table in others:
                    owner, writer = others[table]
                    words = f"the table {table} is written by the task {writer} of the project {owner}"
                    hint = "Write to a table of another name."
                    yield ProjectProblem(TableOwned.code, words, task.place_of("to"), hint)


def pipeline_of(project: Project, name: str | None) -> Pipeline:
    """Return a pipeline of a project; its only one when none is named.

    Raises:
        NotFound: when there is none of that name, or several to choose from.
    """
    names = sorted(project.pipelines)
    if name is None:
        if len(names) == 1:
            return next(iter(project.pipelines.values()))
        words = f"{project.name} has {len(names)} pipelines: {', '.join(names)}" if names else "no pipelines"
        raise NotFound(f"no pipeline is named, and {words}", hint="Name one of them.")
    found = {str(key): pipeline for key, pipeline in project.pipelines.items()}
    if name not in found:
        raise NotFound(f"{project.name} has no pipeline {name[:100]!r}", hint=nearest(name, found))
    return found[name]


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return files as an archive: the same bytes for the same files."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=6) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return packed.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the files of an archive that `pack` has made."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        opened = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in opened.items() if file is not None}


def _schedule(
    known: ScheduleState | None, workspace: WorkspaceId, project: Project, pipeline: Pipeline, now: float
) -> ScheduleState:
    """Return a pipeline's schedule: how far it has come stays, unless it says other times now."""
    schedule = pipeline.schedule
    assert schedule is not None
    if known is not None and (known.schedule.cron, known.schedule.timezone) == (schedule.cron, schedule.timezone):
        return replace(known, schedule=schedule, deadline=pipeline.deadline)
    return ScheduleState(
        workspace=workspace,
        project=project.name,
        pipeline=pipeline.name,
        schedule=schedule,
        deadline=pipeline.deadline,
        paused=known.paused if known is not None else False,
        since=now,
        next_at=next_at(schedule, after=now),
    )
