"""Blobs in memory: the twin of the others, for tests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from penstock.core.errors import BlobsUnavailable
from penstock.core.jobs import BlobPointer
from penstock.storage.blobs.keys import check_key, check_prefix, missing


@dataclass(slots=True)
class MemoryBlobs:
    """Blobs of one process, gone with it.

    Attributes:
        clock: when something is written.
        down: whether every call is refused as if the store could not be reached.
        kept: what there is, by key, with the time it was written at.
    """

    clock: Callable[[], float] = time.time
    down: bool = False
    kept: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def create(self, key: str) -> MemoryBlobWriter:
        """Begin a blob."""
        check_key(key)
        self._reach()
        return MemoryBlobWriter(lambda data: self.put(key, data))

    def put(self, key: str, data: bytes) -> BlobPointer:
        """Store bytes."""
        check_key(key)
        self._reach()
        self.kept[key] = (bytes(data), self.clock())
        return BlobPointer(key, len(data), hashlib.sha256(data).hexdigest())

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob, in one block."""
        data = self._read(key)[offset:][:length]
        return iter([data] if data else [])

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open a blob as a file."""
        with file_of(self._read(key)) as file:
            yield file

    def delete(self, keys: Iterable[str]) -> None:
        """Delete blobs."""
        self._reach()
        for key in keys:
            self.kept.pop(check_key(key), None)

    def list(self, prefix: str, *, changed_before: float | None = None) -> Iterator[BlobPointer]:
        """Yield what lies under a prefix."""
        self._reach()
        check_prefix(prefix)
        for key, (data, written_at) in list(self.kept.items()):
            if key.startswith(prefix) and (changed_before is None or written_at < changed_before):
                yield BlobPointer(key, len(data), "")

    def check(self) -> None:
        """Raise BlobsUnavailable while it is down."""
        self._reach()

    def _read(self, key: str) -> bytes:
        check_key(key)
        self._reach()
        if key not in self.kept:
            raise missing(key)
        return self.kept[key][0]

    def _reach(self) -> None:
        if self.down:
            raise BlobsUnavailable("the blob store cannot be reached", hint="Start it again.", retry_after_s=1)


class MemoryBlobWriter:
    """A blob in the making, held in memory until it is whole."""

    def __init__(self, keep: Callable[[bytes], BlobPointer]) -> None:
        self.size_bytes = 0
        self._parts: list[bytes] = []
        self._keep = keep

    def write(self, data: bytes, /) -> None:
        """Append data."""
        self._parts.append(bytes(data))
        self.size_bytes += len(data)

    def commit(self) -> BlobPointer:
        """Make it visible under its key."""
        return self._keep(b"".join(self._parts))

    def discard(self) -> None:
        """Drop it, unless it is committed."""
        self._parts.clear()


@contextlib.contextmanager
def file_of(data: bytes) -> Iterator[BinaryIO]:
    """Open bytes as a regular file that has no name."""
    with os.fdopen(os.memfd_create("blob", os.MFD_CLOEXEC), "w+b") as file:
        file.write(data)
        file.flush()
        file.seek(0)
        yield file
