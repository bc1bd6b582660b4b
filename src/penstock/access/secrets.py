"""Secrets, encrypted in an envelope: each workspace's by a data key of its own, and that by the master key.

AES-256-GCM, a random nonce of 12 bytes before each ciphertext. What is encrypted is bound to its place: a row that is
copied to another workspace, name or data key does not open. Source of the nonce's size and bound: NIST SP 800-38D.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NewType

from penstock.access.master import MasterKeys
from penstock.access.workspaces import lock_workspace
from penstock.base.ids import new_id
from penstock.base.lazily import Lazily
from penstock.core import limits
from penstock.core.access import MemberId, StoredSecret, WorkspaceId
from penstock.core.errors import Conflict, NotFound, SecretUnreadable, SettingInvalid
from penstock.core.ports.service import Clock
from penstock.database.statements import Statement

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives.ciphers import aead
else:
    exceptions = Lazily("cryptography.exceptions")
    aead = Lazily("cryptography.hazmat.primitives.ciphers.aead")

_DataKeyId = NewType("_DataKeyId", str)
_NONCE_BYTES: Final = 12

_NEWEST: Final = Statement(
    "SELECT id, workspace, wrapped, master FROM data_keys WHERE workspace = :workspace"
    " ORDER BY created_at DESC, id DESC LIMIT 1"
)
_DATA_KEY: Final = Statement(
    "SELECT id, workspace, wrapped, master FROM data_keys WHERE id = :id AND workspace = :workspace"
)
_ALL_KEYS: Final = Statement("SELECT id, workspace, wrapped, master FROM data_keys WHERE master <> :newest")
_MASTERS: Final = Statement("SELECT DISTINCT master FROM data_keys")
_INSERT_KEY: Final = Statement(
    "INSERT INTO data_keys (id, workspace, wrapped, master, created_at)"
    " VALUES (:id, :workspace, :wrapped, :master, :at)"
)
_REWRAP: Final = Statement("UPDATE data_keys SET wrapped = :wrapped, master = :master WHERE id = :id")
_DROP_KEYS: Final = Statement("DELETE FROM data_keys WHERE workspace = :workspace AND id <> :kept")

_GET: Final = Statement("SELECT data_key, ciphertext FROM secrets WHERE workspace = :workspace AND name = :name")
_VALUES: Final = Statement("SELECT name, data_key, ciphertext FROM secrets WHERE workspace = :workspace")
_NAMES: Final = Statement(
    "SELECT name, updated_at, updated_by FROM secrets WHERE workspace = :workspace AND name > :after"
    " ORDER BY name LIMIT :limit"
)
_COUNT: Final = Statement("SELECT COUNT(*) FROM secrets WHERE workspace = :workspace AND name <> :name")
_PUT: Final = Statement(
    "INSERT INTO secrets (workspace, name, data_key, ciphertext, updated_at, updated_by)"
    " VALUES (:workspace, :name, :data_key, :ciphertext, :at, :by)"
    " ON CONFLICT (workspace, name) DO UPDATE SET data_key = excluded.data_key, ciphertext = excluded.ciphertext,"
    " updated_at = excluded.updated_at, updated_by = excluded.updated_by"
)
_MOVE: Final = Statement(
    "UPDATE secrets SET data_key = :data_key, ciphertext = :ciphertext WHERE workspace = :workspace AND name = :name"
)
_DELETE: Final = Statement("DELETE FROM secrets WHERE workspace = :workspace AND name = :name")


class SqlSecrets:
    """Secrets in the table of that name; only `resolve` gives a value, to who sends it where it belongs."""

    def __init__(self, clock: Clock, master: MasterKeys) -> None:
        self.clock = clock
        self._master = master

    def put(self, tx: Any, *, workspace: WorkspaceId, name: str, value: bytes, by: MemberId) -> None:
        """Store a secret, in place of the one of that name.

        Raises:
            Conflict: when the workspace has as many as it may have.
        """
        lock_workspace(tx, workspace)
        others = _COUNT.run(tx, {"workspace": workspace, "name": name}).scalar_one()
        if others >= limits.SECRETS.value:
            raise Conflict(f"the workspace has {others:,} secrets, as many as it may have", hint="Remove one first.")
        row = _NEWEST.run(tx, {"workspace": workspace}).one_or_none()
        key_id, key = (row.id, self._unwrap(row)) if row is not None else self._create_data_key(tx, workspace)
        values = {"workspace": workspace, "name": name, "data_key": key_id, "at": self.clock(), "by": by}
        _PUT.run(tx, {**values, "ciphertext": _encrypt(key, value, _place(workspace, name, key_id))})

    def resolve(self, tx: Any, workspace: WorkspaceId, name: str) -> bytes:
        """Return the value of a secret.

        Raises:
            NotFound: when the workspace has none of that name.
            SecretUnreadable: when it was changed outside of Penstock, or its master key is not known.
        """
        row = _GET.run(tx, {"workspace": workspace, "name": name}).one_or_none()
        if row is None:
            raise _missing(name)
        keys = {row.data_key: self._data_key(tx, workspace, row.data_key)}
        return _open(keys, workspace, name, row)

    def names(self, tx: Any, *, workspace: WorkspaceId, after: str = "", limit: int = 100) -> Sequence[StoredSecret]:
        """Return what is known of a workspace's secrets, by name."""
        rows = _NAMES.run(tx, {"workspace": workspace, "after": after, "limit": limit})
        return [StoredSecret(row.name, row.updated_at, row.updated_by) for row in rows]

    def delete(self, tx: Any, *, workspace: WorkspaceId, name: str) -> None:
        """Remove a secret, or raise NotFound."""
        if not _DELETE.run(tx, {"workspace": workspace, "name": name}).rowcount:
            raise _missing(name)

    def rotate(self, tx: Any, *, workspace: WorkspaceId) -> int:
        """Encrypt every secret of a workspace anew, by a new data key; return how many there are."""
        lock_workspace(tx, workspace)
        rows = _VALUES.run(tx, {"workspace": workspace}).all()
        keys = {key_id: self._data_key(tx, workspace, key_id) for key_id in {row.data_key for row in rows}}
        new_id_, new_key = self._create_data_key(tx, workspace)
        for row in rows:
            ciphertext = _encrypt(new_key, _open(keys, workspace, row.name, row), _place(workspace, row.name, new_id_))
            values = {"workspace": workspace, "name": row.name, "data_key": new_id_, "ciphertext": ciphertext}
            _MOVE.run(tx, values)
        _DROP_KEYS.run(tx, {"workspace": workspace, "kept": new_id_})
        return len(rows)

    def rewrap(self, tx: Any) -> int:
        """Wrap every data key by the newest master key that is not yet; return how many there were."""
        rows = _ALL_KEYS.run(tx, {"newest": self._master.newest}).all()
        for row in rows:
            _REWRAP.run(tx, {"id": row.id, **self._wrapped(row.workspace, row.id, self._unwrap(row))})
        return len(rows)

    def is_newest(self, tx: Any) -> bool:
        """Return whether every data key is wrapped by the newest master key.

        Raises:
            SettingInvalid: when a master key is missing.
        """
        used = [row.master for row in _MASTERS.run(tx)]
        for fingerprint in used:
            if self._master.by_fingerprint(fingerprint) is None:
                raise SettingInvalid(
                    f"secrets are wrapped by the master key with the fingerprint {fingerprint}, which was not given; "
                    f"the first that was given has {self._master.newest}",
                    hint="Give the missing key too, after the first one, or restore master.key from its copy.",
                )
        return used in ([], [self._master.newest])

    def _create_data_key(self, tx: Any, workspace: WorkspaceId) -> tuple[_DataKeyId, bytes]:
        key_id, key = _DataKeyId(new_id("dk")), secrets.token_bytes(32)
        values = {"id": key_id, "workspace": workspace, "at": self.clock()}
        _INSERT_KEY.run(tx, {**values, **self._wrapped(workspace, key_id, key)})
        return key_id, key

    def _wrapped(self, workspace: WorkspaceId, key_id: _DataKeyId, key: bytes) -> dict[str, Any]:
        wrapped = _encrypt(self._master.keys[0], key, f"data key\0{workspace}\0{key_id}".encode())
        return {"wrapped": wrapped, "master": self._master.newest}

    def _data_key(self, tx: Any, workspace: WorkspaceId, key_id: _DataKeyId) -> bytes:
        row = _DATA_KEY.run(tx, {"id": key_id, "workspace": workspace}).one_or_none()
        if row is None:
            raise _unreadable(f"the data key {key_id} of the workspace is missing")
        return self._unwrap(row)

    def _unwrap(self, row: Any) -> bytes:
        master = self._master.by_fingerprint(row.master)
        if master is None:
            raise _unreadable(f"the master key with the fingerprint {row.master} is not known to this process")
        try:
            return _decrypt(master, row.wrapped, f"data key\0{row.workspace}\0{row.id}".encode())
        except exceptions.InvalidTag:
            raise _unreadable(f"the data key {row.id} was changed") from None


def _open(keys: dict[_DataKeyId, bytes], workspace: WorkspaceId, name: str, row: Any) -> bytes:
    try:
        return _decrypt(keys[row.data_key], row.ciphertext, _place(workspace, name, row.data_key))
    except exceptions.InvalidTag:
        raise _unreadable(f"the secret {name!r} was changed outside of Penstock") from None


def _place(workspace: WorkspaceId, name: str, key_id: _DataKeyId) -> bytes:
    return f"secret\0{workspace}\0{name}\0{key_id}".encode()


def _encrypt(key: bytes, value: bytes, place: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + aead.AESGCM(key).encrypt(nonce, value, place)


def _decrypt(key: bytes, ciphertext: bytes, place: bytes) -> bytes:
    if len(ciphertext) < _NONCE_BYTES:
        raise exceptions.InvalidTag
    return aead.AESGCM(key).decrypt(bytes(ciphertext[:_NONCE_BYTES]), bytes(ciphertext[_NONCE_BYTES:]), place)


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no secret {name!r} in this workspace", hint="See: penstock secrets list")


def _unreadable(what: str) -> SecretUnreadable:
    return SecretUnreadable(
        what,
        hint="Give the server the master key that wrapped it (PENSTOCK_MASTER_KEY), or store the secret again.",
    )
