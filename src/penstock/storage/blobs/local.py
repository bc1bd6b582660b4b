"""Blobs in a folder: written aside, made durable, and put in their place in one step.

A file and its name are two things for the disk: the file is durable after its own fsync, its name after that of the
folder. Only then may anybody be told that the blob is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from penstock.base.disks import FULL, ROOM_HINT, said
from penstock.core.errors import BlobsUnavailable
from penstock.core.jobs import BlobPointer
from penstock.storage.blobs.keys import check_key, check_prefix, missing

_ASIDE: Final = ".aside"  # no key begins with a dot
_BLOCK_BYTES: Final = 2**18
_LEFT_BEHIND_S: Final = 24 * 3600
_PLACING_TRIES_MAX: Final = 10
_HINT: Final = "Look at the disk and the folder's permissions; what waits goes on by itself afterwards."


class LocalBlobs:
    """Blobs under one folder, which only the owner of this process may look into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._aside = folder / _ASIDE
        with _reporting(folder):
            os.makedirs(self._aside, mode=0o700, exist_ok=True)
            os.chmod(folder, 0o700)
            self._sweep()

    def create(self, key: str) -> LocalBlobWriter:
        """Begin a blob."""
        return LocalBlobWriter(self.folder, check_key(key))

    def put(self, key: str, data: bytes) -> BlobPointer:
        """Store bytes, durably."""
        writer = self.create(key)
        try:
            writer.write(data)
            return writer.commit()
        finally:
            writer.discard()

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob in blocks; that there is none is said at once, not at the first block."""
        with _reporting(self.folder, key):
            if not stat.S_ISREG(os.stat(self._path(key)).st_mode):
                raise missing(key)
        return self._blocks(key, offset, length)

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open a blob where it lies."""
        with _reporting(self.folder, key):
            file = open(self._path(key), "rb")  # noqa: SIM115  # closed below; opening alone is what is reported on
        with file:
            yield file

    def delete(self, keys: Iterable[str]) -> None:
        """Delete blobs, and the folders that this leaves empty."""
        for key in keys:
            path = self._path(key)
            with _reporting(self.folder):
                try:
                    path.unlink()
                except (FileNotFoundError, NotADirectoryError):
                    continue
            self._remove_empty(path.parent)

    def list(self, prefix: str, *, changed_before: float | None = None) -> Iterator[BlobPointer]:
        """Yield what lies under a prefix."""
        start = self.folder / check_prefix(prefix)
        with _reporting(self.folder):
            for folder, folders, files in os.walk(start):
                folders[:] = [name for name in folders if name != _ASIDE]
                for name in files:
                    path = Path(folder, name)
                    try:
                        status = path.stat()
                    except FileNotFoundError:
                        continue  # deleted meanwhile
                    if changed_before is None or status.st_mtime < changed_before:
                        yield BlobPointer(str(path.relative_to(self.folder)), status.st_size, "")

    def check(self) -> None:
        """Raise BlobsUnavailable unless a file can be written and made durable now."""
        writer = LocalBlobWriter(self.folder, "check")
        try:
            writer.write(b"check")
            writer.flush()
        finally:
            writer.discard()

    def _path(self, key: str) -> Path:
        return self.folder / check_key(key)

    def _blocks(self, key: str, offset: int, length: int | None) -> Iterator[bytes]:
        with self.open(key) as file:
            file.seek(offset)
            left = length
            while left is None or left > 0:
                with _reporting(self.folder):
                    block = file.read(_BLOCK_BYTES if left is None else min(left, _BLOCK_BYTES))
                if not block:
                    return
                left = None if left is None else left - len(block)
                yield block

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.folder:
            try:
                folder.rmdir()
            except OSError:  # not empty; or somebody else was first
                return
            folder = folder.parent

    def _sweep(self) -> None:
        """Remove what a killed process left behind; a file that grows is somebody's."""
        for entry in os.scandir(self._aside):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < time.time() - _LEFT_BEHIND_S:
                    os.unlink(entry.path)


class LocalBlobWriter:
    """A blob in the making, beside its place on the same disk."""

    def __init__(self, folder: Path, key: str) -> None:
        self.size_bytes = 0
        self._folder = folder
        self._key = key
        self._hash = hashlib.sha256()
        self._aside = folder / _ASIDE / secrets.token_hex(16)
        with _reporting(folder):
            fd = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file: BinaryIO = os.fdopen(fd, "wb", buffering=_BLOCK_BYTES)

    def write(self, data: bytes, /) -> None:
        """Append data."""
        with _reporting(self._folder):
            self._file.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)

    def flush(self) -> None:
        """Make what has been written durable, though nobody can find it yet."""
        with _reporting(self._folder):
            self._file.flush()
            os.fsync(self._file.fileno())

    def commit(self) -> BlobPointer:
        """Make it durable and put it in its place."""
        self.flush()
        with _reporting(self._folder):
            self._file.close()
            self._place(self._folder / self._key)
        return BlobPointer(self._key, self.size_bytes, self._hash.hexdigest())

    def discard(self) -> None:
        """Drop it, unless it is committed."""
        with contextlib.suppress(OSError):  # what could not be written cannot be flushed either
            self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._aside)

    def _place(self, path: Path) -> None:
        for _ in range(_PLACING_TRIES_MAX):
            try:
                _make_folder(path.parent)
                os.replace(self._aside, path)
            except FileNotFoundError:
                continue  # whoever deleted the last blob of the folder has removed it too
            with contextlib.suppress(FileNotFoundError):  # so soon deleted again
                _sync_folder(path.parent)
            return
        raise OSError(f"the folder of {self._key} is removed again and again")


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _reporting(folder: Path, key: str | None = None) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if key is not None:
            raise missing(key) from error
        raise _unavailable(folder, error) from error
    except OSError as error:
        raise _unavailable(folder, error) from error


def _unavailable(folder: Path, error: OSError) -> BlobsUnavailable:
    return BlobsUnavailable(
        f"the blobs cannot be used now: {said(error, folder)}",
        hint=ROOM_HINT if error.errno in FULL else _HINT,
        retry_after_s=5,
    )
