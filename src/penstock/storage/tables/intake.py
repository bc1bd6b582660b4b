"""Taking files that an engine has written into the warehouse: moved on the same disk, copied, or uploaded.

An engine ran somebody's code. So only regular files with a single name are taken: a link could lead to another
workspace's table. A file that is taken has a new name and nobody else writes to it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from pyiceberg.table import Table

from penstock.core.errors import FileRefused
from penstock.storage.tables.catalog import reporting
from penstock.storage.tables.local_io import make_folder, sync_folder

_BLOCK_BYTES: Final = 8 * 2**20


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


def take_in(table: Table, path: Path, name: str) -> str:
    """Make a file one of the table's, durably, and return where it is.

    Args:
        table: whose folder it goes to.
        path: where the engine has written it; it may be gone afterwards.
        name: unique in the table.

    Raises:
        LakeUnavailable: when it cannot be stored.
    """
    place = f"{table.metadata.location}/data/{name}"
    with reporting():
        if place.startswith("s3://"):
            _upload(table, path, place)
        else:
            _move(path, Path(place))
    return place


def _move(path: Path, place: Path) -> None:
    make_folder(place.parent)
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
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
    sync_folder(place.parent)


def _copy(path: Path, place: Path) -> None:
    with path.open("rb") as source, place.open("xb") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
        target.flush()
        os.fsync(target.fileno())


def _upload(table: Table, path: Path, place: str) -> None:
    with path.open("rb") as source, table.io.new_output(place).create() as target:
        while block := source.read(_BLOCK_BYTES):
            target.write(block)
