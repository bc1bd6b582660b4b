"""The workspace: members, keys, secrets, quotas, audit; and logging in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, cast
from urllib.parse import quote

from penstock.client.transport import Transport
from penstock.core.access import Permission, Role

_VERIFY_S = 120.0  # of one stretch, on a busy server


class WorkspaceShown(TypedDict):
    """A workspace."""

    id: str
    name: str
    created_at: str
    quotas: dict[str, int]
    egress: list[str]
    stored_bytes: int


class MemberShown(TypedDict):
    """A member."""

    id: str
    name: str
    role: Role
    created_at: str
    created_by: str | None


class NewMember(MemberShown):
    """A member with the token for the first login."""

    token: str


class KeyShown(TypedDict):
    """What is known of an API key."""

    id: str
    member: str
    member_name: str
    name: str
    scopes: list[Permission] | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class NewKey(KeyShown):
    """An API key with its text, which is shown this once."""

    api_key: str


class LoggedIn(TypedDict):
    """Who has logged in, and the key that was made for it."""

    api_key: str
    expires_at: str
    workspace: WorkspaceShown
    member: MemberShown


class Me(TypedDict):
    """Who asks."""

    workspace: WorkspaceShown
    member: str
    name: str
    role: Role
    permissions: list[Permission]
    key: str | None


class SecretShown(TypedDict):
    """What is known of a secret."""

    name: str
    updated_at: str
    updated_by: str
    updated_by_name: str


class AuditShown(TypedDict):
    """An audit event."""

    id: int
    at: str
    member: str
    member_name: str
    action: str
    subject: str
    outcome: str
    origin: str
    request_id: str
    details: dict[str, Any]
    number: int | None
    hash: str | None


class ChainProblem(TypedDict):
    """A place where the chain of audit events is broken."""

    number: int
    message: str


class ChainShown(TypedDict):
    """What checking the chain of audit events found."""

    whole: bool
    complete: bool
    number: int
    head: str
    unsealed: int
    problems: list[ChainProblem]


def log_in(url: str, token: str) -> LoggedIn:
    """Exchange a one-time token for an API key.

    Raises:
        NotLoggedIn: when the token is not valid, was used, or is too old.
        ServerUnavailable: when the server cannot be reached.
    """
    transport = Transport(url, "")
    try:
        return cast("LoggedIn", transport.request("POST", "/login", json={"token": token}))
    finally:
        transport.close()


class WorkspaceClient:
    """The workspace of the key that the client shows."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def me(self) -> Me:
        """Return who this is, and what the key may do."""
        return cast("Me", self._transport.request("GET", "/me"))

    def read(self) -> WorkspaceShown:
        """Return the workspace."""
        return cast("WorkspaceShown", self._transport.request("GET", "/workspace"))

    def change(self, *, quotas: Mapping[str, int] | None = None, egress: Sequence[str] | None = None) -> WorkspaceShown:
        """Tighten quotas, or take entries out of the egress policy."""
        body = {"quotas": None if quotas is None else dict(quotas), "egress": None if egress is None else list(egress)}
        asked = {name: value for name, value in body.items() if value is not None}
        return cast("WorkspaceShown", self._transport.request("PATCH", "/workspace", json=asked))

    def quota(self) -> dict[str, dict[str, float]]:
        """Return `quotas`, and what is `used` of them."""
        return cast("dict[str, dict[str, float]]", self._transport.request("GET", "/quota"))

    def members(self) -> Iterator[MemberShown]:
        """Yield the members."""
        return cast("Iterator[MemberShown]", self._transport.pages("/members"))

    def add_member(self, name: str, *, role: Role = "viewer") -> NewMember:
        """Add a member; the token is for their first login."""
        return cast("NewMember", self._transport.request("POST", "/members", json={"name": name, "role": role}))

    def change_role(self, member: str, role: Role) -> MemberShown:
        """Give a member, by id or name, another role."""
        path = f"/members/{quote(member, safe='')}"
        return cast("MemberShown", self._transport.request("PATCH", path, json={"role": role}))

    def remove_member(self, member: str) -> None:
        """Remove a member, by id or name, and end their keys."""
        self._transport.request("DELETE", f"/members/{quote(member, safe='')}")

    def issue_token(self, member: str) -> str:
        """Return a new token for a login of a member, by id or name."""
        return str(self._transport.request("POST", f"/members/{quote(member, safe='')}/token")["token"])

    def keys(self) -> Iterator[KeyShown]:
        """Yield one's own keys; everybody's for who may end them."""
        return cast("Iterator[KeyShown]", self._transport.pages("/keys"))

    def create_key(
        self,
        name: str,
        *,
        member: str | None = None,
        scopes: Sequence[Permission] | None = None,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """Make an API key.

        Args:
            name: what it is for.
            member: whose it is, by id or name; one's own when not given.
            scopes: what it is limited to.
            expires_at: when it ends by itself, with a time zone.
        """
        body = {
            "name": name,
            "member": member,
            "scopes": None if scopes is None else list(scopes),
            "expires_at": None if expires_at is None else expires_at.isoformat(),
        }
        asked = {name: value for name, value in body.items() if value is not None}
        return cast("NewKey", self._transport.request("POST", "/keys", json=asked))

    def revoke_key(self, key: str) -> KeyShown:
        """End a key, by its id, at once."""
        return cast("KeyShown", self._transport.request("DELETE", f"/keys/{quote(key, safe='')}"))

    def secrets(self) -> Iterator[SecretShown]:
        """Yield the names of secrets; values never come out."""
        return cast("Iterator[SecretShown]", self._transport.pages("/secrets"))

    def put_secret(self, name: str, value: str) -> None:
        """Store a secret, in place of the one of that name."""
        self._transport.request("PUT", f"/secrets/{quote(name, safe='')}", json={"value": value})

    def remove_secret(self, name: str) -> None:
        """Remove a secret."""
        self._transport.request("DELETE", f"/secrets/{quote(name, safe='')}")

    def rotate_secrets(self) -> int:
        """Encrypt every secret anew; return how many there are."""
        return int(self._transport.request("POST", "/secrets/rotate")["secrets"])

    def audit(self, *, limit: int | None = None, **wanted: str | None) -> Iterator[AuditShown]:
        """Yield audit events, the newest first.

        Args:
            limit: how many at most.
            wanted: `action`, `member`, `subject`, `outcome`, `since`, `until`.
        """
        return cast("Iterator[AuditShown]", self._transport.pages("/audit", query=wanted, limit=limit))

    def verify_audit(self, *, known: str | None = None) -> ChainShown:
        """Check the whole chain of audit events, stretch by stretch.

        Args:
            known: `<number>:<hash>` that was noted before; the chain must still pass through it.
        """
        start: str | None = None
        problems: list[ChainProblem] = []
        while True:
            query = {"start": start, "known": known}
            answer = self._transport.request("GET", "/audit/verification", query=query, timeout_s=_VERIFY_S)
            report = cast("ChainShown", answer)
            problems += report["problems"]
            if report["complete"]:
                return {**report, "whole": not problems, "problems": problems}
            start = f"{report['number']}:{report['head']}"
