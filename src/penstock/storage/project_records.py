"""Projects, their revisions and schedules in the records database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import Connection, Row

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import NotFound
from penstock.core.jobs import BlobPointer
from penstock.core.projects import Schedule
from penstock.core.runs import Revision, ScheduleState
from penstock.core.tables import TableName
from penstock.database.schema import lake_tables, projects, revisions, schedules

_JOINED = revisions.join(
    projects,
    sqlalchemy.and_(projects.c.workspace == revisions.c.workspace, projects.c.name == revisions.c.project),
)
_COLUMNS = (revisions, (projects.c.revision == revisions.c.revision).label("active"))


class SqlProjectRecords:
    """The ProjectRecords of a server."""

    def add_revision(self, tx: Connection, revision: Revision) -> None:
        """Record a revision, unless it is there already."""
        of = (
            revisions.c.workspace == revision.workspace,
            revisions.c.project == revision.project,
            revisions.c.revision == revision.revision,
        )
        if tx.execute(sqlalchemy.select(revisions.c.revision).where(*of)).first() is not None:
            return
        names = ("workspace", "project", "revision", "files", "created_at", "created_by", "note", "size_bytes")
        values = {name: getattr(revision, name) for name in names}
        blob = {"blob_key": revision.blob.key, "blob_sha256": revision.blob.sha256}
        tx.execute(revisions.insert(), values | blob)

    def activate(
        self, tx: Connection, workspace: WorkspaceId, project: str, revision: str, *, by: str, now: float
    ) -> None:
        """Make a revision the one that runs use."""
        values = {"revision": revision, "deployed_at": now, "deployed_by": by}
        of = (projects.c.workspace == workspace, projects.c.name == project)
        if not tx.execute(projects.update().where(*of).values(values)).rowcount:
            tx.execute(projects.insert(), values | {"workspace": workspace, "name": project})

    def revision(self, tx: Connection, workspace: WorkspaceId, project: str, revision: str | None = None) -> Revision:
        """Return a revision, the active one when none is named; a hash may be shortened."""
        query = sqlalchemy.select(*_COLUMNS).select_from(_JOINED).where(*_of(workspace, project))
        if revision is None:
            query = query.where(projects.c.revision == revisions.c.revision)
        else:
            query = query.where(revisions.c.revision.startswith(revision, autoescape=True))
        found = tx.execute(query.limit(2)).all()
        if not found:
            what = "" if revision is None else f" in a revision {revision[:64]!r}"
            raise NotFound(
                f"there is no project {project[:100]!r}{what} in this workspace", hint="Run: penstock deploy"
            )
        if len(found) > 1:
            raise NotFound(f"several revisions of {project} begin with {revision!r}", hint="Name more of its hash.")
        return _revision(found[0])

    def active_revisions(
        self, tx: Connection, workspace: WorkspaceId, *, after: str = "", limit: int = limits.LISTED.value
    ) -> Sequence[Revision]:
        """Return the active revision of each project, by name: of those after a name."""
        query = sqlalchemy.select(*_COLUMNS).select_from(_JOINED)
        query = query.where(revisions.c.workspace == workspace, projects.c.revision == revisions.c.revision)
        query = query.where(revisions.c.project > after).order_by(revisions.c.project)
        return [_revision(row) for row in tx.execute(query.limit(limit))]

    def revisions(
        self,
        tx: Connection,
        workspace: WorkspaceId,
        project: str,
        *,
        before: str | None = None,
        limit: int = limits.LISTED.value,
    ) -> Sequence[Revision]:
        """Return the revisions of a project, the newest first; those before a revision, if one is named."""
        age = sqlalchemy.tuple_(revisions.c.created_at, revisions.c.revision)
        query = sqlalchemy.select(*_COLUMNS).select_from(_JOINED).where(*_of(workspace, project))
        if before is not None:
            named = sqlalchemy.select(revisions.c.created_at).where(*_of(workspace, project))
            named = named.where(revisions.c.revision == before)
            query = query.where(age < sqlalchemy.tuple_(named.scalar_subquery(), sqlalchemy.literal(before)))
        query = query.order_by(revisions.c.created_at.desc(), revisions.c.revision.desc())
        return [_revision(row) for row in tx.execute(query.limit(limit))]

    def tables_of_others(
        self, tx: Connection, workspace: WorkspaceId, project: str
    ) -> Mapping[TableName, tuple[str, str]]:
        """Return the tables that other projects write, each with the project and its task."""
        query = sqlalchemy.select(lake_tables.c.name, lake_tables.c.project, lake_tables.c.task)
        query = query.where(lake_tables.c.workspace == workspace, lake_tables.c.project != project)
        return {TableName(row.name): (row.project, row.task) for row in tx.execute(query)}

    def put_schedules(
        self, tx: Connection, workspace: WorkspaceId, project: str, states: Sequence[ScheduleState], *, now: float
    ) -> None:
        """Record which pipelines of a project have a schedule; what others remember stays."""
        known = {state.pipeline: state for state in self.schedules(tx, workspace, project)}
        of = (schedules.c.workspace == workspace, schedules.c.project == project)
        for gone in known.keys() - {state.pipeline for state in states}:
            tx.execute(schedules.delete().where(*of, schedules.c.pipeline == gone))
        for state in states:
            values = {"schedule": _as_text(state), "next_at": state.next_at}
            if state.pipeline in known:
                tx.execute(schedules.update().where(*of, schedules.c.pipeline == state.pipeline).values(values))
            else:
                names = {"workspace": workspace, "project": project, "pipeline": state.pipeline}
                tx.execute(schedules.insert(), values | names | {"paused": int(state.paused), "since": now})

    def schedules(self, tx: Connection, workspace: WorkspaceId, project: str | None = None) -> Sequence[ScheduleState]:
        """Return the schedules of a workspace."""
        query = sqlalchemy.select(schedules).where(schedules.c.workspace == workspace)
        if project is not None:
            query = query.where(schedules.c.project == project)
        found = tx.execute(query.order_by(schedules.c.project, schedules.c.pipeline).limit(limits.LISTED.value))
        return [_state(row) for row in found]

    def due(self, tx: Connection, *, now: float, limit: int) -> Sequence[ScheduleState]:
        """Return schedules of all workspaces whose time has come."""
        query = sqlalchemy.select(schedules).where(schedules.c.next_at <= now, schedules.c.paused == 0)
        return [_state(row) for row in tx.execute(query.order_by(schedules.c.next_at).limit(limit))]

    def move_schedule(self, tx: Connection, state: ScheduleState) -> None:
        """Record how far a schedule has come, and whether it is paused."""
        tx.execute(
            schedules.update()
            .where(
                schedules.c.workspace == state.workspace,
                schedules.c.project == state.project,
                schedules.c.pipeline == state.pipeline,
            )
            .values(paused=int(state.paused), since=state.since, last_date=state.last_date, next_at=state.next_at)
        )


def _of(workspace: WorkspaceId, project: str) -> tuple[sqlalchemy.ColumnElement[bool], ...]:
    return revisions.c.workspace == workspace, revisions.c.project == project


def _revision(row: Row[Any]) -> Revision:
    return Revision(
        workspace=WorkspaceId(row.workspace),
        project=row.project,
        revision=row.revision,
        blob=BlobPointer(row.blob_key, row.size_bytes, row.blob_sha256),
        files=row.files,
        created_at=row.created_at,
        created_by=row.created_by,
        active=bool(row.active),
        note=row.note,
    )


def _as_text(state: ScheduleState) -> str:
    return orjson.dumps({"schedule": asdict(state.schedule), "deadline": state.deadline}).decode()


def _state(row: Row[Any]) -> ScheduleState:
    given = orjson.loads(row.schedule)
    return ScheduleState(
        workspace=WorkspaceId(row.workspace),
        project=row.project,
        pipeline=row.pipeline,
        schedule=Schedule(**given["schedule"]),
        deadline=given["deadline"],
        paused=bool(row.paused),
        since=row.since,
        last_date=row.last_date,
        next_at=row.next_at,
    )
