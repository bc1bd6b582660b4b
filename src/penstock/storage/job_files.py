"""A job's files: inputs that are blobs, and outputs that become blobs, small ones travelling with the report."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Final

from penstock.base.text import size
from penstock.core import limits
from penstock.core.errors import Bug, SpoolFull, TooLarge
from penstock.core.jobs import SMALL_PREFIX, BlobPointer, small_blob
from penstock.core.ports import Blobs, BlobWriter, Output
from penstock.core.scripts import InputFile
from penstock.core.work import Assignment

SMALL_BYTES: Final = limits.SMALL_BLOB.value * 2**10
_SPOOL_BUFFER_BYTES: Final = 2**20


class JobFiles:
    """The Files of one attempt of one part of a job.

    What an attempt makes lies under keys that no other attempt has: one that comes too late overwrites nothing.

    Args:
        blobs: where what is large lies.
        assignment: the part; what is small of its input is in it.

    Attributes:
        made: where each committed output lies, by the path that the task gave it.
        small: bytes by key of the small ones among them.
    """

    def __init__(self, blobs: Blobs, assignment: Assignment) -> None:
        lease = assignment.lease
        self._blobs = blobs
        self._prefix = f"{assignment.prefix}{lease.entry.id}-{lease.token}/"
        self._input = assignment.input
        self._given = assignment.small
        # What only the next part reads is no row: rows are for what stays.
        self._keeps_small = lease.entry.part in ("whole", "join")
        self._room_bytes = assignment.room_bytes
        self._written_bytes = 0
        self.made: dict[str, BlobPointer] = {}
        self.small: dict[str, bytes] = {}

    def find(self, patterns: Sequence[str]) -> list[str]:
        """Return the names; a job's inputs are known by name."""
        return list(patterns)

    def size_bytes(self, paths: Sequence[str]) -> int | None:
        """Return the bytes of all inputs together."""
        return self._input.blob.size_bytes

    @contextlib.contextmanager
    def open(self, path: str, *, data_format: str | None) -> Iterator[InputFile]:
        """Open one input as a regular file.

        Raises:
            BlobNotFound: when its blob is gone.
            BlobsUnavailable: when the store cannot be reached.
        """
        pointer, encoding = self._input.blob, self._input.encoding
        if pointer.key in self._given:
            with _memory_file(self._given[pointer.key]) as fd:
                yield InputFile(path, fd, pointer.size_bytes, data_format, encoding)
            return
        with self._blobs.open(pointer.key) as file:
            yield InputFile(path, file.fileno(), pointer.size_bytes, data_format, encoding)

    def stream(self, pointer: BlobPointer) -> Iterator[bytes]:
        """Yield the bytes of a blob of the job in blocks."""
        if pointer.key in self._given:
            yield self._given[pointer.key]
        else:
            yield from self._blobs.stream(pointer.key)

    def create(self, path: str | None, *, spool: bool = False) -> Output:
        """Begin an output; one that is only a spool for another ends with the attempt."""
        if path is None:
            raise Bug("a job has no standard output", hint="Give the output a name.")
        return Spool() if spool else _JobOutput(self, path)

    def drop_all_but(self, path: str | None) -> None:
        """Delete what was made, but for one output if a path is given: after a failure nobody will read it."""
        dropped = [self.made.pop(name) for name in list(self.made) if name != path]
        for pointer in dropped:
            self.small.pop(pointer.key, None)
        self._blobs.delete(pointer.key for pointer in dropped if not pointer.key.startswith(SMALL_PREFIX))

    def count(self, size_bytes: int) -> None:
        """Count what is written.

        Raises:
            TooLarge: when the attempt makes more than the workspace has room for.
        """
        self._written_bytes += size_bytes
        if self._room_bytes is not None and self._written_bytes > self._room_bytes:
            raise TooLarge(
                f"the job makes more than the {size(self._room_bytes)} that quota stored_bytes_max leaves, chunks of"
                " its unpacked input included",
                hint="Send less, wait until older results are removed, or ask for a larger quota: penstock quota",
            )

    def begin_blob(self, path: str) -> BlobWriter:
        """Begin the blob of an output that is not small."""
        return self._blobs.create(self._prefix + path)

    def fits(self, size_bytes: int) -> bool:
        """Return whether an output is small."""
        return self._keeps_small and size_bytes <= SMALL_BYTES

    def keep_small(self, path: str, data: bytes) -> None:
        """Take a finished output that is small."""
        pointer = small_blob(self._prefix + path, data)
        self.small[pointer.key] = data
        self.made[path] = pointer


class _JobOutput:
    """An output in the making: in memory while it is small, then a blob."""

    def __init__(self, files: JobFiles, path: str) -> None:
        self._files = files
        self._path = path
        self._parts: list[bytes] = []
        self._blob: BlobWriter | None = None
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append data."""
        self.size_bytes += len(data)
        self._files.count(len(data))
        if self.size_bytes > limits.JOB_OUTPUT.value * 2**30:
            words = f"{self._path} has more than {limits.JOB_OUTPUT.value} {limits.JOB_OUTPUT.unit}"
            raise TooLarge(words, hint="Send the input as several jobs, or give fewer records.")
        if self._blob is not None:
            self._blob.write(data)
            return
        self._parts.append(data)
        if not self._files.fits(self.size_bytes):
            self._blob = self._files.begin_blob(self._path)
            for part in self._parts:
                self._blob.write(part)
            self._parts.clear()

    def spool_fd(self) -> int:
        """Refuse: what is converted afterwards is begun as a spool."""
        raise Bug(f"{self._path} was not begun as a spool", hint="Create it with spool=True.")

    def commit(self) -> None:
        """Make it durable, unless it is small: then it is stored together with the report."""
        if self._blob is None and self._files.fits(self.size_bytes):
            self._files.keep_small(self._path, b"".join(self._parts))
            return
        blob = self._blob or self._files.begin_blob(self._path)
        self._files.made[self._path] = blob.commit()

    def discard(self) -> None:
        """Drop what is not committed."""
        if self._blob is not None and self._path not in self._files.made:
            self._blob.discard()


class Spool:
    """A file without a name that holds records until they are converted."""

    def __init__(self) -> None:
        with _room():
            self._file = tempfile.TemporaryFile(  # noqa: SIM115  # closed in discard()
                buffering=_SPOOL_BUFFER_BYTES, prefix="penstock-"
            )
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append data."""
        with _room():
            self._file.write(data)
        self.size_bytes += len(data)

    def spool_fd(self) -> int:
        """Return a descriptor of all that has been written so far."""
        with _room():
            self._file.flush()
        return self._file.fileno()

    def commit(self) -> None:
        """Do nothing: what is kept is what the spool becomes."""

    def discard(self) -> None:
        """Give the disk back."""
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SpoolFull(
            f"{tempfile.gettempdir()} has no room for what a job puts aside: {error.strerror}",
            hint="Free some space there, or set TMPDIR; the job goes on by itself.",
        ) from error


@contextlib.contextmanager
def _memory_file(data: bytes) -> Iterator[int]:
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
