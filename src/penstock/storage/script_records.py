"""Scripts in the records database: versions, what is and was active, approvals.

What is published never changes, so versions that jobs run on are kept in memory: a submit reads one short row, or for a
range two columns of each version, and the schemas and examples of a version are parsed once in a process.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import orjson
import sqlalchemy
from sqlalchemy import Connection, Row

from penstock.core import limits
from penstock.core.access import MemberId, WorkspaceId
from penstock.core.errors import Conflict, NotFound
from penstock.core.jobs import BlobPointer, ScriptId, VersionId
from penstock.core.scripts import ScriptLimits
from penstock.core.version_numbers import Number, parse_asked
from penstock.core.versions import (
    RUNNABLE,
    Activation,
    Approval,
    ApprovalId,
    ApprovalState,
    Example,
    Script,
    Version,
    VersionState,
    resolve,
    schema_text,
    unknown_script,
)
from penstock.database.schema import activations, approvals, members, scripts, versions
from penstock.database.statements import Statement

_CACHED_MAX: Final = 1_000
_LONG: Final = ("input_schema", "output_schema", "examples")

_SCRIPT: Final = (
    "s.id, s.workspace, s.name, s.description, s.language, s.active_version, s.created_at, s.created_by,"
    " a.version AS active_number, a.state AS active_state"
    " FROM scripts s LEFT JOIN versions a ON a.id = s.active_version"
)
_EXACT: Final = " LEFT JOIN versions v ON v.script = s.id AND v.version = :number"
_COLUMNS: Final = ("id", "name")
_WHERE: Final = " WHERE s.workspace = :workspace AND s."
_FIND: Final = {name: Statement(f"SELECT {_SCRIPT}{_WHERE}{name} = :script") for name in _COLUMNS}
_FIND_EXACT: Final = {
    name: Statement(f"SELECT v.id AS exact_id, v.state AS exact_state, {_SCRIPT}{_EXACT}{_WHERE}{name} = :script")
    for name in _COLUMNS
}
_HOLD: Final = {
    name: Statement(
        f"SELECT s.id FROM scripts s{_WHERE}{name} = :script",  # SQLite has one writer at a time anyway
        postgresql=f"SELECT s.id FROM scripts s{_WHERE}{name} = :script FOR UPDATE",
    )
    for name in _COLUMNS
}
_INSERT: Final = Statement(
    "INSERT INTO scripts (id, workspace, name, description, language, created_at, created_by)"
    " VALUES (:id, :workspace, :name, :description, :language, :created_at, :created_by)"
    " ON CONFLICT (workspace, name) DO NOTHING"
)
_CANDIDATES: Final = Statement("SELECT id, version AS number, state FROM versions WHERE script = :script")
_NAMES: Final = Statement("SELECT name FROM scripts WHERE workspace = :workspace ORDER BY name LIMIT 1000")
_VERSION: Final = (
    "SELECT v.*, s.name AS script_name, s.language AS language FROM versions v JOIN scripts s ON s.id = v.script"
    " WHERE v.workspace = :workspace AND "
)
_BY_ID: Final = Statement(_VERSION + "v.id = :version")
_BY_NUMBER: Final = Statement(_VERSION + "v.script = :script AND v.version = :version")
_STATE: Final = Statement("SELECT state FROM versions WHERE workspace = :workspace AND id = :version")


@dataclasses.dataclass(frozen=True, slots=True)
class _Candidate:
    id: VersionId
    number: str
    state: VersionState


class SqlScriptRecords:
    """The ScriptRecords of a server."""

    def __init__(self) -> None:
        # A version that is no draft is fixed for each of its states, and it never returns to one.
        self._fixed: OrderedDict[tuple[str, str], Version] = OrderedDict()
        self._lock = threading.Lock()

    # ---- what jobs need ----

    def resolve(self, tx: Connection, workspace: WorkspaceId, script: str, asked: str) -> tuple[Script, Version]:
        """Return a script and the version of it that a job gets."""
        wanted = parse_asked(asked)
        column, values = _column(script), {"workspace": workspace, "script": script}
        if isinstance(wanted, Number):
            rows = _FIND_EXACT[column].named(tx, values | {"number": str(wanted)})
        else:
            rows = _FIND[column].named(tx, values)
        if not rows:
            raise unknown_script(script, self._names(tx, workspace))
        [row] = rows
        found = _script(row)
        if isinstance(wanted, Number) and row.exact_state in RUNNABLE:
            return found, self._version(tx, workspace, row.exact_id, row.exact_state)
        if wanted is None and row.active_state in RUNNABLE:
            return found, self._version(tx, workspace, row.active_version, row.active_state)
        # A range; or else nothing that runs, which the rule explains best with all versions before it.
        chosen = resolve(asked, self._candidates(tx, found), script=found.name, active=found.active)
        return found, self._version(tx, workspace, chosen.id, chosen.state)

    def load_version(self, tx: Connection, workspace: WorkspaceId, version: VersionId) -> Version:
        """Return one version, whatever its state; what cannot change any more may come from memory."""
        state = _STATE.run(tx, {"workspace": workspace, "version": version}).scalar_one_or_none()
        if state is None:
            raise _no_version(version)
        return self._version(tx, workspace, version, state)

    def _version(self, tx: Connection, workspace: WorkspaceId, version: str, state: str) -> Version:
        key = version, state
        with self._lock:
            if known := self._fixed.get(key):
                self._fixed.move_to_end(key)
                return known
        row = _BY_ID.run(tx, {"workspace": workspace, "version": version}).one_or_none()
        if row is None:
            raise _no_version(version)
        found = _parse(row)
        if found.state in RUNNABLE:
            with self._lock:
                self._fixed[version, found.state] = found
                if len(self._fixed) > _CACHED_MAX:
                    self._fixed.popitem(last=False)
        return found

    def _candidates(self, tx: Connection, script: Script) -> list[_Candidate]:
        rows = _CANDIDATES.run(tx, {"script": script.id})
        return [_Candidate(VersionId(row.id), row.number, row.state) for row in rows]

    def _names(self, tx: Connection, workspace: WorkspaceId) -> list[str]:
        return list(_NAMES.run(tx, {"workspace": workspace}).scalars())

    # ---- scripts ----

    def find_script(self, tx: Connection, workspace: WorkspaceId, script: str, *, lock: bool = False) -> Script:
        """Return a script by name or id."""
        column, values = _column(script), {"workspace": workspace, "script": script}
        if lock:
            _HOLD[column].run(tx, values)
        row = _FIND[column].run(tx, values).one_or_none()
        if row is None:
            raise unknown_script(script, self._names(tx, workspace))
        return _script(row)

    def list_scripts(self, tx: Connection, workspace: WorkspaceId, *, after: str | None, limit: int) -> list[Script]:
        """Return scripts by name, those after a name."""
        query = sqlalchemy.select(scripts, versions.c.version.label("active_number"))
        query = query.select_from(scripts.outerjoin(versions, versions.c.id == scripts.c.active_version))
        query = query.where(scripts.c.workspace == workspace, scripts.c.name > (after or ""))
        return [_script(row) for row in tx.execute(query.order_by(scripts.c.name).limit(limit))]

    def count_scripts(self, tx: Connection, workspace: WorkspaceId) -> int:
        """Return how many scripts a workspace has."""
        query = sqlalchemy.select(sqlalchemy.func.count()).select_from(scripts)
        return int(tx.execute(query.where(scripts.c.workspace == workspace)).scalar_one())

    def insert_script(self, tx: Connection, script: Script) -> None:
        """Record a new script."""
        row = asdict(script)
        if not _INSERT.run(tx, row).rowcount:
            raise Conflict(
                f"there is a script {script.name} already", hint="Push a version of it, or choose another name."
            )

    # ---- versions ----

    def find_version(self, tx: Connection, script: Script, number: str) -> Version:
        """Return a version by its number, its id, or the word `active`, as it stands in the database."""
        wanted = script.active or "" if number == "active" else number
        statement = _BY_ID if wanted.startswith("ver_") or number == "active" else _BY_NUMBER
        values = {"workspace": script.workspace, "script": script.id, "version": wanted}
        row = statement.run(tx, values).one_or_none()
        if row is None or row.script != script.id:
            known = ", ".join(self.numbers(tx, script)[:10])
            what = f"{script.name} has no {'active version' if number == 'active' else f'version {number[:80]!r}'}"
            raise NotFound(what, hint=f"There are: {known}." if known else "Push one first: penstock scripts push FILE")
        return _parse(row)

    def list_versions(self, tx: Connection, script: Script, *, before: str | None, limit: int) -> list[Version]:
        """Return versions without their schemas and examples, the newest first, those before an id."""
        named = versions.join(scripts, scripts.c.id == versions.c.script)
        kept = [column for column in versions.c if column.name not in _LONG]
        nothing = [sqlalchemy.null().label(name) for name in _LONG]
        query = sqlalchemy.select(*kept, *nothing, scripts.c.name.label("script_name"), scripts.c.language)
        query = query.select_from(named).where(versions.c.script == script.id)
        if before is not None:
            query = query.where(versions.c.id < before)
        return [_parse(row) for row in tx.execute(query.order_by(versions.c.id.desc()).limit(limit))]

    def numbers(self, tx: Connection, script: Script) -> list[str]:
        """Return the numbers of all versions of a script, the newest first."""
        query = sqlalchemy.select(versions.c.version).where(versions.c.script == script.id)
        return list(tx.execute(query.order_by(versions.c.id.desc()).limit(limits.VERSIONS.value)).scalars())

    def insert_version(self, tx: Connection, version: Version) -> None:
        """Record a new version."""
        taken = sqlalchemy.select(versions.c.id)
        if tx.execute(taken.where(versions.c.script == version.script, versions.c.version == version.number)).first():
            raise Conflict(
                f"{version.script_name} has a version {version.number} already",
                hint="Choose another number, or leave it out for the next one.",
            )
        tx.execute(versions.insert().values(_row(version)))

    def save_version(self, tx: Connection, version: Version) -> None:
        """Record a draft's new content, or a version's new state."""
        tx.execute(versions.update().where(versions.c.id == version.id).values(_row(version)))

    def knows_code(self, tx: Connection, version: Version) -> bool:
        """Return whether a version of the workspace has the same code."""
        query = sqlalchemy.select(versions.c.id).where(versions.c.workspace == version.workspace)
        return tx.execute(query.where(versions.c.code_sha256 == version.code.sha256).limit(1)).first() is not None

    def activate(self, tx: Connection, script: Script, activation: Activation) -> None:
        """Point a script at a version, and keep that in its history."""
        tx.execute(scripts.update().where(scripts.c.id == script.id).values(active_version=activation.version))
        row = asdict(activation) | {"workspace": script.workspace, "script": script.id}
        tx.execute(activations.insert().values(row))

    def deactivate(self, tx: Connection, script: Script) -> None:
        """Leave a script without an active version."""
        tx.execute(scripts.update().where(scripts.c.id == script.id).values(active_version=None))

    def activations(self, tx: Connection, script: Script) -> list[Activation]:
        """Return the history of a script's active versions, oldest first."""
        query = activations.select().where(activations.c.script == script.id).order_by(activations.c.id)
        return [
            Activation(VersionId(row.version), row.kind, at=row.at, by=MemberId(row.by)) for row in tx.execute(query)
        ]

    def states(self, tx: Connection, script: Script) -> Mapping[VersionId, VersionState]:
        """Return the state of every version of a script."""
        return {candidate.id: candidate.state for candidate in self._candidates(tx, script)}

    # ---- approvals ----

    def insert_approval(self, tx: Connection, approval: Approval) -> None:
        """Record that somebody asked for an approval."""
        tx.execute(approvals.insert().values(asdict(approval) | {"asks": orjson.dumps(approval.asks).decode()}))

    def decide_approval(self, tx: Connection, approval: Approval) -> None:
        """Record a decision."""
        decision = {name: getattr(approval, name) for name in ("state", "decided_by", "decided_at", "decision_reason")}
        tx.execute(approvals.update().where(approvals.c.id == approval.id).values(decision))

    def lapse_approvals(self, tx: Connection, version: Version, *, now: float) -> None:
        """Close what waits for a decision about other content than a version now has."""
        waiting = approvals.update().where(approvals.c.version == version.id, approvals.c.state == "waiting")
        old = waiting.where(approvals.c.version_hash != version.hash)
        tx.execute(old.values(state="lapsed", decided_at=now, decision_reason="the draft was changed"))

    def is_alone(self, tx: Connection, workspace: WorkspaceId) -> bool:
        """Return whether a workspace has one member only."""
        query = sqlalchemy.select(members.c.id).where(members.c.workspace == workspace, members.c.removed_at.is_(None))
        return len(tx.execute(query.limit(2)).all()) == 1

    def find_approval(self, tx: Connection, workspace: WorkspaceId, approval: str) -> Approval:
        """Return an approval by its id."""
        query = approvals.select().where(approvals.c.workspace == workspace, approvals.c.id == approval)
        row = tx.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"there is no approval {approval[:80]!r} here", hint="List them: penstock scripts approvals")
        return _approval(row)

    def approvals_of(self, tx: Connection, version: Version) -> list[Approval]:
        """Return all approvals ever asked for a version, the newest first."""
        query = approvals.select().where(approvals.c.version == version.id)
        return [_approval(row) for row in tx.execute(query.order_by(approvals.c.id.desc()).limit(1000))]

    def list_approvals(
        self, tx: Connection, workspace: WorkspaceId, *, state: ApprovalState | None, before: str | None, limit: int
    ) -> list[Approval]:
        """Return approvals, the newest first, those before an id."""
        query = approvals.select().where(approvals.c.workspace == workspace)
        if state is not None:
            query = query.where(approvals.c.state == state)
        if before is not None:
            query = query.where(approvals.c.id < before)
        return [_approval(row) for row in tx.execute(query.order_by(approvals.c.id.desc()).limit(limit))]


def _column(script: str) -> str:
    return "id" if script.startswith("scr_") else "name"  # no name begins like an id


def _no_version(version: str) -> NotFound:
    return NotFound(
        f"there is no script version {version[:80]!r} here", hint="List what there is: penstock scripts list"
    )


def _script(row: Any) -> Script:
    return Script(
        id=ScriptId(row.id),
        workspace=WorkspaceId(row.workspace),
        name=row.name,
        description=row.description,
        language=row.language,
        active=row.active_version and VersionId(row.active_version),
        created_at=row.created_at,
        created_by=MemberId(row.created_by),
        active_number=row.active_number,
    )


def _parse(row: Row[Any]) -> Version:
    return Version(
        id=VersionId(row.id),
        workspace=WorkspaceId(row.workspace),
        script=ScriptId(row.script),
        script_name=row.script_name,
        number=row.version,
        state=row.state,
        language=row.language,
        profile=row.profile,
        tier=row.tier,
        code=BlobPointer(row.code_key, row.code_bytes, row.code_sha256),
        hash=row.hash,
        created_at=row.created_at,
        created_by=MemberId(row.created_by),
        updated_at=row.updated_at,
        updated_by=MemberId(row.updated_by),
        limits=ScriptLimits(**orjson.loads(row.limits)),
        input_schema=row.input_schema and orjson.loads(row.input_schema),
        output_schema=row.output_schema and orjson.loads(row.output_schema),
        examples=tuple(_example(example) for example in orjson.loads(row.examples or "[]")),
        published_at=row.published_at,
        published_by=row.published_by and MemberId(row.published_by),
        state_reason=row.state_reason,
    )


def _example(fields: dict[str, Any]) -> Example:
    output = fields["output"]
    return Example(fields["name"], tuple(fields["input"]), None if output is None else tuple(output), fields["error"])


def _row(version: Version) -> dict[str, Any]:
    return {
        "id": version.id,
        "workspace": version.workspace,
        "script": version.script,
        "version": version.number,
        "state": version.state,
        "profile": version.profile,
        "tier": version.tier,
        "code_key": version.code.key,
        "code_sha256": version.code.sha256,
        "code_bytes": version.code.size_bytes,
        "hash": version.hash,
        "limits": orjson.dumps(asdict(version.limits)).decode(),
        "input_schema": schema_text(version.input_schema),
        "output_schema": schema_text(version.output_schema),
        "examples": orjson.dumps([asdict(example) for example in version.examples]).decode(),
        "created_at": version.created_at,
        "created_by": version.created_by,
        "updated_at": version.updated_at,
        "updated_by": version.updated_by,
        "published_at": version.published_at,
        "published_by": version.published_by,
        "state_reason": version.state_reason,
    }


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        id=ApprovalId(row.id),
        workspace=WorkspaceId(row.workspace),
        version=VersionId(row.version),
        version_hash=row.version_hash,
        asks=tuple(orjson.loads(row.asks)),
        state=row.state,
        requested_by=MemberId(row.requested_by),
        requested_at=row.requested_at,
        reason=row.reason,
        decided_by=row.decided_by and MemberId(row.decided_by),
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
    )
