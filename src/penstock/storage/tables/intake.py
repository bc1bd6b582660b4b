"""Taking files that an engine has written into the warehouse: moved on the same disk, copied, or uploaded.

An engine ran somebody's code. So only regular files with a single name are taken: a link could lead to another
workspace's table. A file that is taken has a new name and nobody else writes to it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pyiceberg.io import FileIO
from pyiceberg.table import Table

from penstock.core.errors import FileRefused
from penstock.storage.tables.catalog import reporting
from penstock.storage.tables.local_io import make_folder, naming, sync_folder

_BLOCK_BYTES: Final = 8 * 2**20
_AT_ONCE: Final = 4


def check_file(path: Path) -> None:
    """Make sure that a file is one of its own.

    Raises:
        FileRefused: when it is a link, has a second name, or is no regular file.
    """
    try:
        status = os.lstat(path)
    except OSError as error:
        raise FileRefused(f"{path.name}: {error.strerror}", hint="Name files that the engine has written.") from error
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise FileRefused(f"{path.name} is a link or no regular file", hint="Write the data itself, not a link to it.")


def take_in(table: Table, files: Sequence[tuple[Path, str]]) -> list[str]:
    """Make files the table's, durably, and return where each is.

    Args:
        table: whose folder they go to.
        files: where the engine has written each, and its name, unique in the table; they may be gone afterwards.

    Raises:
        LakeUnavailable: when one cannot be stored.
    """
    folder = f"{table.metadata.location}/data"
    places = [f"{folder}/{name}" for _, name in files]
    with reporting():
        if folder.startswith("s3://"):
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lake-upload") as threads:
                list(threads.map(_upload, [table.io] * len(files), [path for path, _ in files], places))
        elif files:
            make_folder(Path(folder))
            for (path, _), place in zip(files, places, strict=True):
                _move(path, Path(place))
            sync_folder(Path(folder))
    return places


def _move(path: Path, place: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        with naming(path.parent):
            os.fsync(number)
    finally:
        os.close(number)
    try:
        os.rename(path, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(path, place)
    os.chmod(place, 0o600)


def _copy(path: Path, place: Path) -> None:
    with naming(place.parent), open(path, "rb", opener=_itself) as source, place.open("xb") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
        target.flush()
        os.fsync(target.fileno())


def _upload(io: FileIO, path: Path, place: str) -> None:
    with open(path, "rb", opener=_itself) as source, io.new_output(place).create() as target:
        while block := source.read(_BLOCK_BYTES):
            target.write(block)


def _itself(path: str, flags: int) -> int:
    """Open a file and no link that has come in its place."""
    return os.open(path, flags | os.O_NOFOLLOW)
