"""Small blobs as rows of the records database.

A file of its own costs three waits for the disk, a request to S3 some milliseconds; a row costs nothing beside the
commit that its pointer needs anyway. Such a blob's key begins with `db:`, so that a reader needs only the pointer:
`BlobsWithSmall` looks at the key and knows where to look. It is stored in the transaction that stores the pointer, and
deleted in the one that deletes the pointer, so that neither is ever without the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import sqlalchemy

from penstock.core import limits
from penstock.core.errors import Bug
from penstock.core.jobs import SMALL_PREFIX, BlobPointer, small_blob
from penstock.core.ports.service import Blobs, BlobWriter, Database
from penstock.database.schema import small_blobs
from penstock.database.statements import ManyStatement, Statement
from penstock.storage.blobs.keys import check_key, check_prefix, missing
from penstock.storage.blobs.memory import MemoryBlobWriter, file_of

_STORE: Final = Statement(
    "INSERT INTO small_blobs (key, data) VALUES (:key, :data) ON CONFLICT (key) DO UPDATE SET data = excluded.data"
)
_LOAD: Final = ManyStatement("SELECT key, data FROM small_blobs WHERE key IN (:keys)")
_DELETE: Final = Statement("DELETE FROM small_blobs WHERE key = :key")


class SmallBlobRows:
    """The rows themselves, for who has a transaction."""

    def store(self, tx: Any, blobs: Mapping[str, bytes]) -> None:
        """Store bytes by key; a key that is there already is replaced."""
        if blobs:
            _STORE.do(tx, [{"key": _check(key), "data": _bounded(key, data)} for key, data in blobs.items()])

    def load(self, tx: Any, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the bytes of those keys that are there."""
        return {row.key: bytes(row.data) for row in _LOAD.run(tx, [_check(key) for key in keys])}

    def delete(self, tx: Any, keys: Sequence[str]) -> None:
        """Delete rows; one that is not there is no error."""
        if keys:
            _DELETE.do(tx, [{"key": _check(key)} for key in keys])


@dataclass(frozen=True, slots=True)
class BlobsWithSmall:
    """All blobs: keys that begin with `db:` are rows, the others are in the store."""

    database: Database
    store: Blobs
    rows: SmallBlobRows = field(default_factory=SmallBlobRows)

    def create(self, key: str) -> BlobWriter:
        """Begin a blob; a row is stored in a transaction of its own when it is committed."""
        if not _is_row(key):
            return self.store.create(key)
        _check(key)
        return MemoryBlobWriter(lambda data: self.put(key, data))

    def put(self, key: str, data: bytes) -> BlobPointer:
        """Store bytes, durably."""
        if not _is_row(key):
            return self.store.put(key, data)
        _bounded(_check(key), data)
        self.database.write(lambda tx: self.rows.store(tx, {key: data}))
        return small_blob(key.removeprefix(SMALL_PREFIX), data)

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob in blocks."""
        if not _is_row(key):
            return self.store.stream(key, offset=offset, length=length)
        data = self._load(key)[offset:][:length]
        return iter([data] if data else [])

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open a blob as a regular local file."""
        return self._open(key) if _is_row(key) else self.store.open(key)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete blobs; one that is not there is no error."""
        keys = list(keys)
        if small := [key for key in keys if _is_row(key)]:
            self.database.write(lambda tx: self.rows.delete(tx, small))
        if large := [key for key in keys if not _is_row(key)]:
            self.store.delete(large)

    def list(self, prefix: str, *, changed_before: float | None = None) -> Iterator[BlobPointer]:
        """Yield what lies under a prefix: rows for one that begins with `db:`, without regard to their age."""
        if not _is_row(prefix):
            return self.store.list(prefix, changed_before=changed_before)
        check_prefix(prefix.removeprefix(SMALL_PREFIX))
        return _rows_under(self.database, prefix)

    def check(self) -> None:
        """Raise BlobsUnavailable unless the store can be written to now."""
        self.store.check()

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[BinaryIO]:
        with file_of(self._load(key)) as file:
            yield file

    def _load(self, key: str) -> bytes:
        with self.database.read() as tx:
            found = self.rows.load(tx, [key])
        if key not in found:
            raise missing(key)
        return found[key]


def _rows_under(database: Database, prefix: str) -> Iterator[BlobPointer]:
    query = (
        sqlalchemy.select(small_blobs.c.key, sqlalchemy.func.length(small_blobs.c.data))
        .where(small_blobs.c.key >= prefix, small_blobs.c.key < prefix[:-1] + chr(ord(prefix[-1]) + 1))
        .order_by(small_blobs.c.key)
    )
    with database.read() as tx:
        connection: sqlalchemy.Connection = tx  # type: ignore[assignment]  # what the port calls a transaction
        rows = connection.execute(query).all()
    return (BlobPointer(key, size_bytes, "") for key, size_bytes in rows)


def _is_row(key: str) -> bool:
    return key.startswith(SMALL_PREFIX)


def _check(key: str) -> str:
    if not _is_row(key):
        raise Bug(f"{key[:100]!r} is to be a row, but does not begin with {SMALL_PREFIX}", hint="Report it.")
    check_key(key.removeprefix(SMALL_PREFIX))
    return key


def _bounded(key: str, data: bytes) -> bytes:
    if len(data) > limits.SMALL_BLOB.value * 1024:
        raise Bug(f"{key} is to be a row of {len(data)} bytes, more than small_blob allows", hint="Report it.")
    return data
