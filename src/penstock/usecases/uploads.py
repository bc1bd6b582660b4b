"""Receiving the input of a job: bytes as they come, held to the workspace's bounds, kept whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from penstock.base.ids import new_id
from penstock.base.text import size
from penstock.core import limits
from penstock.core.access import Actor, Usage, WorkspaceId
from penstock.core.errors import BlobNotFound, NotFound, TooLarge
from penstock.core.jobs import SMALL_PREFIX, BlobPointer, small_blob
from penstock.core.ports import Blobs, BlobWriter, Database
from penstock.core.ports.access import QuotaBook
from penstock.usecases.permissions import require

_SMALL_BYTES: Final = limits.SMALL_BLOB.value * 1024


@dataclass(slots=True)
class Upload:
    """An input on its way in, by one thread at a time.

    Attributes:
        bytes_max: what may still be stored; `refuse` raises the error that names the bound.
        held: the bytes while they are few: those become a row of the database, not a file.
    """

    key: str
    bytes_max: int
    blobs: Blobs
    refuse: Callable[[int], None]
    size_bytes: int = 0
    held: bytearray = field(default_factory=bytearray)
    writer: BlobWriter | None = None

    def write(self, data: bytes) -> None:
        """Append data.

        Raises:
            TooLarge: when it is more than the workspace may send or store.
        """
        self.size_bytes += len(data)
        if self.size_bytes > self.bytes_max:
            self.refuse(self.size_bytes)
            raise TooLarge(
                f"the body is larger than the {size(self.bytes_max)} that the workspace may still send",
                hint="See what is used: penstock quota",
            )
        if self.writer is None and self.size_bytes <= _SMALL_BYTES:
            self.held += data
            return
        if self.writer is None:
            self.writer = self.blobs.create(self.key)
            self.writer.write(bytes(self.held))
            self.held.clear()
        self.writer.write(data)

    def finish(self) -> tuple[BlobPointer, bytes | None]:
        """Return where the bytes are, durably; or the bytes themselves, to be stored with the job that reads them."""
        if self.writer is None:
            data = bytes(self.held)
            return small_blob(self.key, data), data
        return self.writer.commit(), None

    def discard(self) -> None:
        """Drop what has come so far, unless it is finished."""
        self.held.clear()
        if self.writer is not None:
            self.writer.discard()


@dataclass(frozen=True, slots=True)
class Uploads:
    """Inputs that arrive before their job exists."""

    database: Database
    blobs: Blobs
    quotas: QuotaBook

    def begin(self, *, actor: Actor, expected_bytes: int | None = None) -> Upload:
        """Return where to write an input to.

        Args:
            actor: who sends it.
            expected_bytes: how many bytes were announced, None when that is not known.

        Raises:
            NotAllowed: when the actor may not submit jobs.
            TooLarge: when what is announced is more than the workspace may send or store.
        """
        require(actor, "jobs:write")
        usage = self._usage(actor.workspace)
        upload = Upload(
            key=f"{actor.workspace}/uploads/{new_id('upl')}",
            bytes_max=min(usage.quotas.request_bytes_max, usage.quotas.stored_bytes_max - usage.stored_bytes),
            blobs=self.blobs,
            refuse=lambda size_bytes: self._check(actor.workspace, size_bytes),
        )
        if expected_bytes is not None and expected_bytes > upload.bytes_max:
            upload.refuse(expected_bytes)
        return upload

    def point_to(self, name: str, *, actor: Actor) -> BlobPointer:
        """Return an object that lies in the workspace's blobs already.

        Args:
            name: its key below the workspace's own prefix, such as `incoming/orders.parquet`.
            actor: who asks.

        Raises:
            NotFound: when there is none.
            TooLarge: when it is larger than one request may be.
        """
        require(actor, "jobs:write")
        require(actor, "data:read")
        key = f"{actor.workspace}/{name}"
        digest, size_bytes = hashlib.sha256(), 0
        try:
            for block in self.blobs.stream(key):
                digest.update(block)
                size_bytes += len(block)
        except BlobNotFound as error:
            raise NotFound(
                f"the workspace's blobs have no object {name[:200]!r}",
                hint="Give its key below the workspace's prefix.",
            ) from error
        return BlobPointer(key, size_bytes, digest.hexdigest())

    def drop(self, pointer: BlobPointer) -> None:
        """Delete an input that became no job's."""
        if not pointer.key.startswith(SMALL_PREFIX):
            self.blobs.delete([pointer.key])

    def _usage(self, workspace: WorkspaceId) -> Usage:
        cached = self.quotas.cached(workspace)
        if cached is not None:
            return cached
        with self.database.read() as tx:
            return self.quotas.usage(tx, workspace)

    def _check(self, workspace: WorkspaceId, size_bytes: int) -> None:
        with self.database.read() as tx:
            self.quotas.check_size(tx, workspace, size_bytes)
