"""Members of workspaces, and the one-time tokens by which they log in, in the records database."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import Member, MemberId, Role, WorkspaceId
from penstock.core.errors import Conflict, NotFound, NotLoggedIn
from penstock.core.ports.service import Clock
from penstock.database.statements import ManyStatement, Statement

_COLUMNS: Final = "SELECT id, workspace, name, role, created_at, created_by, removed_at FROM members"
_LIST: Final = Statement(
    f"{_COLUMNS} WHERE workspace = :workspace AND removed_at IS NULL AND id > :after ORDER BY id LIMIT :limit"
)
_GET: Final = Statement(f"{_COLUMNS} WHERE workspace = :workspace AND id = :id")
_FIND: Final = Statement(f"{_COLUMNS} WHERE workspace = :workspace AND name = :name")
_NAMES: Final = ManyStatement("SELECT id, name, workspace FROM members WHERE id IN (:keys)")
_COUNT: Final = Statement("SELECT COUNT(*) FROM members WHERE workspace = :workspace AND removed_at IS NULL")
_ADMINS: Final = Statement(
    "SELECT COUNT(*) FROM members WHERE workspace = :workspace AND role = 'admin' AND removed_at IS NULL AND id <> :id"
)
_INSERT: Final = Statement(
    "INSERT INTO members (id, workspace, name, role, created_at, created_by)"
    " VALUES (:id, :workspace, :name, :role, :at, :by)"
)
_UPDATE: Final = Statement("UPDATE members SET role = :role, removed_at = :removed_at WHERE id = :id")

_INSERT_TOKEN: Final = Statement(
    "INSERT INTO login_tokens (hash, workspace, member, expires_at) VALUES (:hash, :workspace, :member, :expires_at)"
)
_FORGET_TOKENS: Final = Statement("DELETE FROM login_tokens WHERE member = :member OR expires_at < :now")
_TAKE_TOKEN: Final = Statement(
    "UPDATE login_tokens SET used_at = :now WHERE hash = :hash AND used_at IS NULL AND expires_at > :now"
    " RETURNING workspace, member"
)


class SqlMembers:
    """Members in the table of that name; those who were removed stay, for what they did names them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def add(
        self, tx: Any, *, workspace: WorkspaceId, name: str, role: Role, created_by: MemberId | None = None
    ) -> Member:
        """Add a member; somebody of the same name who was removed comes back as the one they were.

        Raises:
            Conflict: when there is one of that name, or the workspace has as many as it may have.
        """
        count = _COUNT.run(tx, {"workspace": workspace}).scalar_one()
        if count >= limits.MEMBERS.value:
            raise Conflict(f"the workspace has {count:,} members, as many as it may have", hint="Remove one first.")
        row = _FIND.run(tx, {"workspace": workspace, "name": name}).one_or_none()
        if row is not None and row.removed_at is None:
            raise Conflict(f"there is a member {name!r} already", hint="Choose another name, or change the role.")
        if row is not None:
            _UPDATE.run(tx, {"id": row.id, "role": role, "removed_at": None})
            return replace(_member(row), role=role, removed_at=None)
        member = Member(MemberId(new_id("mem")), workspace, name, role, self.clock(), created_by)
        values = {"id": member.id, "workspace": workspace, "name": name, "role": role}
        _INSERT.run(tx, {**values, "at": member.created_at, "by": created_by})
        return member

    def get(self, tx: Any, *, workspace: WorkspaceId, member: str) -> Member:
        """Return a member by id or by name.

        Raises:
            NotFound: when the workspace has none, or has no longer.
        """
        by_id = _GET.run(tx, {"workspace": workspace, "id": member}).one_or_none()
        row = by_id or _FIND.run(tx, {"workspace": workspace, "name": member}).one_or_none()
        if row is None or row.removed_at is not None:
            raise NotFound(f"there is no member {member!r} in this workspace", hint="See: penstock members list")
        return _member(row)

    def list(self, tx: Any, *, workspace: WorkspaceId, after: str = "", limit: int = 100) -> Sequence[Member]:
        """Return the members of a workspace, by id."""
        return [_member(row) for row in _LIST.run(tx, {"workspace": workspace, "after": after, "limit": limit})]

    def names(self, tx: Any, *, workspace: WorkspaceId, members: Sequence[str]) -> Mapping[str, str]:
        """Return the names of members by their ids, also of those who were removed; who never was one is left out."""
        return {row.id: row.name for row in _NAMES.run(tx, members) if row.workspace == workspace}

    def other_admins(self, tx: Any, member: Member) -> int:
        """Return how many admins the workspace has beside a member."""
        return int(_ADMINS.run(tx, {"workspace": member.workspace, "id": member.id}).scalar_one())

    def set_role(self, tx: Any, member: Member, role: Role) -> Member:
        """Give a member another role."""
        _UPDATE.run(tx, {"id": member.id, "role": role, "removed_at": None})
        return replace(member, role=role)

    def remove(self, tx: Any, member: Member) -> None:
        """Remove a member, and the login tokens that were for them."""
        now = self.clock()
        _UPDATE.run(tx, {"id": member.id, "role": member.role, "removed_at": now})
        _FORGET_TOKENS.run(tx, {"member": member.id, "now": now})

    def create_token(self, tx: Any, member: Member) -> str:
        """Return a new login token of a member, good for one login within a day; earlier ones end."""
        now = self.clock()
        text = f"pt_{secrets.token_urlsafe(32)}"
        _FORGET_TOKENS.run(tx, {"member": member.id, "now": now})
        values = {"hash": _hash(text), "workspace": member.workspace, "member": member.id}
        _INSERT_TOKEN.run(tx, {**values, "expires_at": now + limits.LOGIN_TOKEN.value})
        return text

    def take_token(self, tx: Any, text: str) -> Member:
        """Use a login token up, and return whose it is.

        Raises:
            NotLoggedIn: when there is none, or it is used or too old.
        """
        row = _TAKE_TOKEN.run(tx, {"hash": _hash(text), "now": self.clock()}).one_or_none()
        if row is None:
            raise NotLoggedIn(
                "the login token is not valid: it works once, within a day",
                hint="Ask an admin for a new one (penstock members token NAME), or make one on the server's machine: "
                "penstock workspaces token WORKSPACE",
            )
        return self.get(tx, workspace=row.workspace, member=row.member)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _member(row: Any) -> Member:
    return Member(row.id, row.workspace, row.name, row.role, row.created_at, row.created_by, row.removed_at)
