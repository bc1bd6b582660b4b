"""Files of the lake in a local folder: a catalog never points to bytes that a loss of power can take away."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream


class DurableFiles(FileIO):
    """Local files by absolute path, whatever characters it has; what is written is on the disk once it is closed.

    pyiceberg's own adapter leaves that to the operating system, some 30 seconds later, and the catalog would already
    have committed.
    """

    def new_input(self, location: str) -> InputFile:
        """Return a file to read."""
        return _Input(location)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write."""
        return _Output(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove a file; one that is gone is no error."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(location if isinstance(location, str) else location.location)


class _Input(InputFile):
    def __len__(self) -> int:
        return os.stat(self.location).st_size

    def exists(self) -> bool:
        return os.path.exists(self.location)

    def open(self, seekable: bool = True) -> InputStream:  # noqa: FBT001, FBT002  # as the class above has it
        return open(self.location, "rb")


class _Output(OutputFile):
    def __len__(self) -> int:
        return os.stat(self.location).st_size

    def exists(self) -> bool:
        return os.path.exists(self.location)

    def to_input_file(self) -> InputFile:
        return _Input(self.location)

    def create(self, overwrite: bool = False) -> OutputStream:  # noqa: FBT001, FBT002  # as the class above has it
        path = Path(self.location)
        if not path.parent.is_dir():
            make_folder(path.parent)
        return _Durable(path, "wb" if overwrite else "xb")


class _Durable(io.BufferedWriter):
    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(io.FileIO(path, mode))
        self._folder = path.parent
        # Of the files of a commit the table's metadata comes last: that folder's names are made durable together.
        self._last = path.name.endswith(".metadata.json")

    def close(self) -> None:
        if not self.closed:
            with naming(self._folder):
                try:
                    self.flush()
                    os.fsync(self.fileno())
                finally:
                    super().close()
            if self._last:
                sync_folder(self._folder)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably, for the owner of this process only."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with naming(folder):
            os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Let an error of the disk name the folder: of an open file, the system does not say which it is."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = f"{folder}{os.sep}"
        raise
