"""Local files: inputs by path and pattern, and outputs that appear whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from penstock.core.errors import InputNotFound, OutputFailed
from penstock.core.scripts import InputFile

STANDARD_STREAM = "-"


class LocalFiles:
    """The files of the machine Penstock runs on."""

    def find(self, patterns: Sequence[str]) -> list[str]:
        """Return the paths that arguments name, in the order given; those of one pattern sorted.

        Raises:
            InputNotFound: when a path or pattern names no file.
        """
        return [path for pattern in patterns for path in self._find(pattern)]

    def size_bytes(self, paths: Sequence[str]) -> int | None:
        """Return the bytes of all paths together, None when one is a stream."""
        if any(path == STANDARD_STREAM or not stat.S_ISREG(os.stat(path).st_mode) for path in paths):
            return None
        return sum(os.stat(path).st_size for path in paths)

    @contextlib.contextmanager
    def open(self, path: str, *, data_format: str | None) -> Iterator[InputFile]:
        """Open one input.

        Raises:
            InputNotFound: when it cannot be opened.
        """
        if path == STANDARD_STREAM:
            if sys.stdin is None:
                raise InputNotFound("-: standard input is closed", hint="Give a file, or something to read from.")
            yield InputFile(path, sys.stdin.fileno(), None, data_format)
            return
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InputNotFound(
                f"{path}: cannot be opened: {error.strerror}", hint="Check the path and its permissions."
            ) from error
        try:
            status = os.fstat(fd)
            yield InputFile(path, fd, status.st_size if stat.S_ISREG(status.st_mode) else None, data_format)
        finally:
            os.close(fd)

    def create(self, path: str | None, *, spool: bool = False) -> OutputFile:
        """Begin an output; None is standard output. A spool lies where the output will.

        Raises:
            OutputFailed: when nothing can be written there.
        """
        return OutputFile(path)

    def _find(self, pattern: str) -> list[str]:
        if pattern == STANDARD_STREAM or os.path.isfile(pattern) or _is_pipe(pattern):
            return [pattern]
        if os.path.isdir(pattern):
            raise InputNotFound(
                f"{pattern} is a folder", hint=f"Name the files in it, such as '{pattern.rstrip('/')}/*.csv'."
            )
        found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
        if not found:
            raise InputNotFound(
                f"{pattern} names no file", hint="Check the path; put patterns in quotes, such as 'data/*.csv'."
            )
        return found


class OutputFile:
    """An output in the making: written aside, in the same folder, and put in its place by `commit` alone.

    Standard output cannot be taken back, so it is written aside too, and copied when all is well.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        folder = Path(path).parent if path else None
        prefix = f".{Path(path).name}." if path else "penstock-"
        if path is None and sys.stdout is None:
            raise OutputFailed("standard output is closed", hint="Write to a file: -o FILE.")
        try:
            fd, self._aside = tempfile.mkstemp(suffix=".part", prefix=prefix, dir=folder)
        except OSError as error:
            raise self._failed(
                error, f"Make the folder {folder}, or choose another." if folder else "Set TMPDIR."
            ) from error
        self._file: BinaryIO = os.fdopen(fd, "w+b", buffering=2**20)
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append data."""
        with self._reporting():
            self._file.write(data)
        self.size_bytes += len(data)

    def spool_fd(self) -> int:
        """Return a descriptor of what has been written so far, complete."""
        with self._reporting():
            self._file.flush()
        return self._file.fileno()

    def commit(self) -> None:
        """Make it durable and put it in its place, in one step that cannot be seen half done."""
        with self._reporting():
            self._file.flush()
            if self.path is None:
                self._copy_to_standard_output()
            else:
                os.fsync(self._file.fileno())
                os.chmod(self._aside, 0o666 & ~_umask())
                os.replace(self._aside, self.path)
        self.discard()

    def discard(self) -> None:
        """Drop what is not committed; does nothing after a commit."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._aside)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _copy_to_standard_output(self) -> None:
        self._file.seek(0)
        try:
            while part := self._file.read(2**20):
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failed(error, "Free some space or choose another place; nothing there has changed.") from error

    def _failed(self, error: OSError, hint: str) -> OutputFailed:
        return OutputFailed(f"{self.path or 'standard output'}: cannot be written: {error.strerror}", hint=hint)


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
