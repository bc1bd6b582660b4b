"""API keys: `pk_<id>_<secret>`. The secret has 256 random bits, so one round of SHA-256 is all the hashing it needs."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, cast

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import PERMISSIONS, Actor, ApiKey, KeyId, MemberId, Permission, Role, WorkspaceId
from penstock.core.errors import Conflict, KeyEnded, NotFound, NotLoggedIn
from penstock.core.ports.service import Clock
from penstock.database.statements import Statement

_SECRET_BYTES: Final = 32
_NOTED_MAX: Final = 10_000
_UNKNOWN: Final = hashlib.sha256(b"no key has this hash").hexdigest()
_LOG_IN: Final = "Log in again: penstock login --token TOKEN; an admin makes one: penstock members token NAME"

_FIND: Final = Statement(
    "SELECT k.workspace, k.member, m.name, m.role, k.hash, k.scopes, k.expires_at, k.revoked_at,"
    " m.removed_at FROM api_keys k JOIN members m ON m.id = k.member WHERE k.id = :id"
)
_USE: Final = Statement("UPDATE api_keys SET last_used_at = :at WHERE id = :id")
_INSERT: Final = Statement(
    "INSERT INTO api_keys (id, workspace, member, name, hash, scopes, created_at, expires_at)"
    " VALUES (:id, :workspace, :member, :name, :hash, :scopes, :created_at, :expires_at)"
)
_COLUMNS: Final = (
    "SELECT id, workspace, member, name, scopes, created_at, expires_at, revoked_at, last_used_at FROM api_keys"
)
_LIST: Final = Statement(
    f"{_COLUMNS} WHERE workspace = :workspace AND member = :member AND id > :after ORDER BY id LIMIT :limit"
)
_LIST_ALL: Final = Statement(f"{_COLUMNS} WHERE workspace = :workspace AND id > :after ORDER BY id LIMIT :limit")
_GET: Final = Statement(f"{_COLUMNS} WHERE id = :id AND workspace = :workspace")
_COUNT: Final = Statement(
    "SELECT COUNT(*) FROM api_keys WHERE workspace = :workspace AND member = :member AND revoked_at IS NULL"
)
_REVOKE: Final = Statement("UPDATE api_keys SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL")
_REVOKE_ALL: Final = Statement(
    "UPDATE api_keys SET revoked_at = :at WHERE workspace = :workspace AND member = :member AND revoked_at IS NULL"
)


class SqlKeys:
    """Keys in the table `api_keys`, by their hash only."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._noted: dict[KeyId, float] = {}  # uses that this process has written

    def authenticate(self, tx: Any, text: str) -> Actor:
        """Return who shows a key; role and scopes are read now, so a change of them takes effect at once.

        Raises:
            NotLoggedIn: when there is no such key, or it has ended.
        """
        key_id, secret = _parts(text)
        row = next(iter(_FIND.named(tx, {"id": key_id})), None)
        genuine = hmac.compare_digest(row.hash if row is not None else _UNKNOWN, _hash(secret))
        if row is None or not genuine:
            raise NotLoggedIn("the API key is not one of this server's", hint=_LOG_IN)
        actor = Actor(row.workspace, row.member, row.name, cast("Role", row.role), frozenset(), key=key_id)
        if row.revoked_at is not None or row.removed_at is not None:
            raise KeyEnded(f"the API key {key_id} has been revoked", hint=_LOG_IN, actor=actor)
        if row.expires_at is not None and row.expires_at <= self.clock():
            raise KeyEnded(f"the API key {key_id} has expired", hint=_LOG_IN, actor=actor)
        granted = PERMISSIONS[actor.role]
        scopes = granted if row.scopes is None else granted & frozenset(json.loads(row.scopes))
        return replace(actor, permissions=scopes)

    def use_is_due(self, key: KeyId) -> bool:
        """Return whether the use of a key should be written: now and then only, a request is not worth a write."""
        return self._noted.get(key, 0) < self.clock() - limits.KEY_USE_ROUNDED.value

    def note_use(self, tx: Any, key: KeyId) -> None:
        """Write that a key is used now."""
        if len(self._noted) >= _NOTED_MAX:
            self._noted.clear()
        self._noted[key] = self.clock()
        _USE.run(tx, {"id": key, "at": self.clock()})

    def create(
        self,
        tx: Any,
        *,
        workspace: WorkspaceId,
        member: MemberId,
        name: str,
        scopes: frozenset[Permission] | None = None,
        expires_at: float | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key, and return it with its text, which cannot be had again.

        Raises:
            Conflict: when the member has as many keys as one may have.
        """
        held = _COUNT.run(tx, {"workspace": workspace, "member": member}).scalar_one()
        if held >= limits.KEYS.value:
            raise Conflict(
                f"the member has {held} API keys; {limits.KEYS.value} are allowed",
                hint="Revoke one that is not used: penstock keys list",
            )
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        key = ApiKey(KeyId(new_id("key")), workspace, member, name, scopes, self.clock(), expires_at)
        _INSERT.run(
            tx,
            {
                "id": key.id,
                "workspace": workspace,
                "member": member,
                "name": name,
                "hash": _hash(secret),
                "scopes": None if scopes is None else json.dumps(sorted(scopes)),
                "created_at": key.created_at,
                "expires_at": expires_at,
            },
        )
        return key, f"pk_{key.id.removeprefix('key_')}_{secret}"

    def list(
        self, tx: Any, *, workspace: WorkspaceId, member: MemberId | None = None, after: str = "", limit: int = 100
    ) -> Sequence[ApiKey]:
        """Return the keys of a workspace, or of one member, by id."""
        values = {"workspace": workspace, "member": member, "after": after, "limit": limit}
        if member is None:
            del values["member"]
        return [_key(row) for row in (_LIST_ALL if member is None else _LIST).run(tx, values)]

    def get(self, tx: Any, *, workspace: WorkspaceId, key: KeyId) -> ApiKey:
        """Return a key.

        Raises:
            NotFound: when the workspace has none with the id.
        """
        row = _GET.run(tx, {"id": key, "workspace": workspace}).one_or_none()
        if row is None:
            raise NotFound(f"there is no API key {key!r} in this workspace", hint="See: penstock keys list")
        return _key(row)

    def revoke(self, tx: Any, *, workspace: WorkspaceId, key: KeyId) -> ApiKey:
        """End a key at once, and return it as it is now; one that has been ended stays so."""
        found = self.get(tx, workspace=workspace, key=key)
        now = self.clock()
        _REVOKE.run(tx, {"id": key, "at": now})
        return replace(found, revoked_at=found.revoked_at or now)

    def revoke_all(self, tx: Any, *, workspace: WorkspaceId, member: MemberId) -> int:
        """End every key of a member, and return how many there were."""
        return _REVOKE_ALL.run(tx, {"workspace": workspace, "member": member, "at": self.clock()}).rowcount


def _parts(text: str) -> tuple[KeyId, str]:
    prefix, _, rest = text.partition("_")
    number, _, secret = rest.partition("_")
    if prefix != "pk" or not number.isalnum() or not number.isascii() or not secret.isascii():
        raise NotLoggedIn("what was shown is not an API key; one begins with pk_", hint=_LOG_IN)
    return KeyId(f"key_{number}"), secret


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        workspace=row.workspace,
        member=row.member,
        name=row.name,
        scopes=None if row.scopes is None else frozenset(json.loads(row.scopes)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
