"""Who may do what, on a real database with a clock of the test: the use cases as `wiring` puts them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from penstock.core.access import Actor, Role
from penstock.core.settings import Settings
from penstock.database.opening import SqlDatabase
from penstock.queue.sql_queue import SqlQueue
from penstock.wiring.access import Access, assemble_access
from tests.service import FakeClock

# For tests of the fixture `people` about what no database decides: the other one would only cost time.
on_sqlite = pytest.mark.parametrize("people", ["sqlite"], indirect=True)
MASTER = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # 0123456789abcdef twice


@dataclass(slots=True)
class People:
    """Workspaces, members and their keys."""

    database: SqlDatabase
    master: str = MASTER
    clock: FakeClock = field(default_factory=FakeClock)
    access: Access = field(init=False)

    def __post_init__(self) -> None:
        settings = Settings(
            home="/nowhere",
            database_url=f"{self.database.dialect}:",
            blobs="",
            s3_endpoint="",
            master_key=self.master,
            host="",
            port=0,
        )
        self.access = assemble_access(settings, self.database, SqlQueue(self.database, self.clock), self.clock)
        self.access.keys.recent._clock_s = self.clock  # else a second of the machine passes, or not, between two lines

    def admin(self, workspace: str = "acme") -> Actor:
        """Make a workspace, and return its admin, logged in."""
        _, token = self.access.workspaces.create(workspace, admin="ada")
        return self.log_in(token)

    def member(self, admin: Actor, name: str, *, role: Role = "viewer") -> Actor:
        """Add a member to the workspace of an admin, and return them, logged in."""
        return self.log_in(self.access.members.add(name, role=role, actor=admin)[1])

    def log_in(self, token: str) -> Actor:
        """Return who has logged in by a token."""
        return self.show(self.access.workspaces.login(token, origin="203.0.113.7", request_id="req_1").api_key)

    def show(self, key: str) -> Actor:
        """Return who shows a key."""
        return self.access.keys.authenticate(key, origin="203.0.113.7", request_id="req_1")

    def rows(self, sql: str) -> list[Any]:
        """Return what a query gives."""
        with self.database.read() as tx:
            return list(tx.exec_driver_sql(sql))

    def execute(self, *statements: str) -> None:
        """Change the database behind Penstock's back."""
        self.database.write(lambda tx: [tx.exec_driver_sql(statement) for statement in statements] and None)

    def actions(self) -> list[str]:
        """Return what was audited, the first first."""
        return [row[0] for row in self.rows("SELECT action FROM audit_events ORDER BY id")]
