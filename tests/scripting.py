"""Scripts and versions on a real database with a clock of the test: the use cases as `wiring` puts them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.access.audit import SqlAudit
from penstock.access.quotas import SqlQuotas
from penstock.core.access import PERMISSIONS, Actor, MemberId, Role, WorkspaceId
from penstock.core.ports import Sandbox
from penstock.core.scripts import ScriptLimits
from penstock.core.versions import Approval, Example, Version
from penstock.database.opening import SqlDatabase
from penstock.database.schema import members, workspaces
from penstock.queue.sql_queue import SqlQueue
from penstock.storage.blobs.memory import MemoryBlobs
from penstock.storage.script_records import SqlScriptRecords
from penstock.usecases.approvals import Approvals
from penstock.usecases.trials import Trials
from penstock.usecases.versions import Content, Scripts
from tests.service import FakeClock
from tests.twins import TwinSandbox

KEEP = b"def process(data):\n    return data\n"
DOUBLE = b"def process(data):\n    return {'a': data['a'] * 2}\n"
DOUBLES = Example("doubles", ({"a": 1}, {"a": 2}), ({"a": 2}, {"a": 4}))
LONG = ScriptLimits(wall_s=120)  # needs an approval


@dataclass(slots=True)
class Scripting:
    """Use cases on one database."""

    database: SqlDatabase
    sandbox: Sandbox = field(default_factory=TwinSandbox)
    clock: FakeClock = field(default_factory=FakeClock)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    records: SqlScriptRecords = field(default_factory=SqlScriptRecords)
    queue: SqlQueue = field(init=False)
    scripts: Scripts = field(init=False)
    approvals: Approvals = field(init=False)

    def __post_init__(self) -> None:
        audit = SqlAudit(self.clock)
        self.queue = SqlQueue(self.database, self.clock)
        self.scripts = Scripts(
            self.database,
            self.records,
            self.blobs,
            self.queue,
            SqlQuotas(self.clock),
            audit,
            Trials(self.sandbox),
            self.clock,
        )
        self.approvals = Approvals(self.database, self.records, audit, self.clock)

    def actor(self, name: str = "ada", *, role: Role = "admin", workspace: str = "ws_1") -> Actor:
        """Return a member of a workspace, both made when first asked for."""
        member = MemberId(f"mem_{workspace}_{name}")

        def create(tx: Any) -> None:
            if tx.execute(workspaces.select().where(workspaces.c.id == workspace)).first() is None:
                tx.execute(workspaces.insert().values(id=workspace, name=workspace, created_at=self.clock()))
            if tx.execute(members.select().where(members.c.id == member)).first() is None:
                row = {"id": member, "workspace": workspace, "name": name, "role": role, "created_at": self.clock()}
                tx.execute(members.insert().values(row))

        self.database.write(create)
        return Actor(WorkspaceId(workspace), member, name, role, PERMISSIONS[role])

    def draft(
        self, actor: Actor, code: bytes = KEEP, *, name: str = "clean", number: str | None = None, **content: Any
    ) -> Version:
        """Add a draft to a script, which is made when there is none."""
        if name not in [script.name for script in self.scripts.list(actor=actor)]:
            self.scripts.create(name, actor=actor)
        return self.scripts.add_version(name, Content(code, **content), number=number, actor=actor)

    def published(self, actor: Actor, *numbers: str, name: str = "clean") -> list[Version]:
        """Publish versions, each with code of its own."""
        made = [self.draft(actor, KEEP + b"# %s\n" % number.encode(), name=name, number=number) for number in numbers]
        return [self.scripts.publish(name, version.number, actor=actor) for version in made]

    def resolve(self, asked: str = "active", *, script: str = "clean", workspace: str = "ws_1") -> Version:
        """Return the version that a job gets."""
        with self.database.read() as tx:
            return self.records.resolve(tx, WorkspaceId(workspace), script, asked)[1]

    def decided(self, approval: Approval) -> Approval:
        """Return an approval as it stands."""
        with self.database.read() as tx:
            return self.records.find_approval(tx, approval.workspace, approval.id)

    def audited(self) -> list[tuple[str, str]]:
        """Return the action and the details of every audit event."""
        with self.database.read() as tx:
            rows = tx.exec_driver_sql("SELECT action, details FROM audit_events ORDER BY id").all()
        return [(row[0], row[1] or "") for row in rows]
