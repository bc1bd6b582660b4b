"""Members of a workspace: who may work in it, and as what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.core.access import Actor, AuditEvent, Member, Role
from penstock.core.errors import Conflict
from penstock.core.ports import Audit, Database
from penstock.core.ports.access import KeyRecords, MemberRecords, WorkspaceRecords
from penstock.usecases.names import check_name
from penstock.usecases.permissions import require
from penstock.usecases.recent_keys import RecentKeys


@dataclass(frozen=True, slots=True)
class Members:
    """What can be asked of members. Everybody in a workspace may see who else is."""

    database: Database
    records: MemberRecords
    keys: KeyRecords
    workspaces: WorkspaceRecords
    audit: Audit
    recent: RecentKeys = field(default_factory=RecentKeys)

    def list(self, *, actor: Actor, after: str = "", limit: int = 100) -> Sequence[Member]:
        """Return the members of the actor's workspace, by id."""
        with self.database.read() as tx:
            return self.records.list(tx, workspace=actor.workspace, after=after, limit=limit)

    def names(self, members: Iterable[str | None], *, actor: Actor) -> Mapping[str, str]:
        """Return the names of members by their ids, also of those who were removed; who never was one is left out."""
        wanted = sorted({member for member in members if member is not None})
        with self.database.read() as tx:
            return self.records.names(tx, workspace=actor.workspace, members=wanted)

    def add(self, name: str, *, role: Role, actor: Actor) -> tuple[Member, str]:
        """Add a member, and return them with a token for their first login.

        Raises:
            Conflict: when there is one of that name.
        """
        require(actor, "members:write")
        check_name(name, of="a member")

        def add(tx: Any) -> tuple[Member, str]:
            self.workspaces.lock(tx, actor.workspace)
            member = self.records.add(
                tx, workspace=actor.workspace, name=name, role=role, created_by=None if actor.local else actor.member
            )
            self.audit.record(tx, actor, AuditEvent("member.add", member.id, details={"name": name, "role": role}))
            return member, self.records.create_token(tx, member)

        return self.database.write(add)

    def issue_token(self, member: str, *, actor: Actor) -> str:
        """Return a new login token for a member; earlier ones end."""
        require(actor, "members:write")

        def issue(tx: Any) -> str:
            found = self.records.get(tx, workspace=actor.workspace, member=member)
            self.audit.record(tx, actor, AuditEvent("member.token", found.id))
            return self.records.create_token(tx, found)

        return self.database.write(issue)

    def change_role(self, member: str, *, role: Role, actor: Actor) -> Member:
        """Give a member another role; it takes effect with their next request.

        Raises:
            Conflict: when nobody would be admin any more.
        """
        require(actor, "members:write")

        def change(tx: Any) -> Member:
            self.workspaces.lock(tx, actor.workspace)
            found = self.records.get(tx, workspace=actor.workspace, member=member)
            if role != "admin":
                self._require_another_admin(tx, found)
            details = {"from": found.role, "to": role}
            self.audit.record(tx, actor, AuditEvent("member.change", found.id, details=details))
            return self.records.set_role(tx, found, role)

        changed = self.database.write(change)
        self.recent.forget()
        return changed

    def remove(self, member: str, *, actor: Actor) -> None:
        """Remove a member and end every key of theirs.

        Raises:
            Conflict: when nobody would be admin any more.
        """
        require(actor, "members:write")

        def remove(tx: Any) -> None:
            self.workspaces.lock(tx, actor.workspace)
            found = self.records.get(tx, workspace=actor.workspace, member=member)
            self._require_another_admin(tx, found)
            self.records.remove(tx, found)
            ended = self.keys.revoke_all(tx, workspace=actor.workspace, member=found.id)
            event = AuditEvent("member.remove", found.id, details={"name": found.name, "keys": ended})
            self.audit.record(tx, actor, event)

        self.database.write(remove)
        self.recent.forget()

    def _require_another_admin(self, tx: Any, member: Member) -> None:
        if member.role == "admin" and not self.records.other_admins(tx, member):
            raise Conflict(
                f"{member.name} is the workspace's last admin",
                hint="Make somebody else an admin first: penstock members role NAME admin",
            )
