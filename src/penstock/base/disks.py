"""What is said of a disk that is full or broken: which folder, how much is free there, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from penstock.base.text import size

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
PASSING: Final = FULL | {errno.EIO, errno.EROFS}  # with the disk's help, or yours
ROOM_HINT: Final = (
    "Make room there: 100 MiB, and as much as the tables of a run take. Then `penstock resume last`; a server goes on"
    " by itself. Nothing is lost, and nothing is half there."
)


def said(error: OSError, folder: Path | str | None = None) -> str:
    """Return what a disk has answered, in which folder, and how much is free there when that is the reason.

    Args:
        error: what the system has said.
        folder: of the file; where the error does not name one.
    """
    words = error.strerror or type(error).__name__
    place = str(folder or "") or (os.path.dirname(os.fsdecode(error.filename)) if _names_a_path(error) else "")
    if not place:
        return words
    return f"{words} in {place}{room(place) if error.errno in FULL else ''}"


def room(folder: Path | str) -> str:
    """Return how much is free on the disk of a folder, as the end of a sentence; nothing when that cannot be told."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return ""
    return f", where {size(usage.free)} of {size(usage.total)} are free"


def low(folders: Iterable[Path | str], *, free_bytes: int, free_share: float) -> tuple[Path, str] | None:
    """Return the folder of the disk that is nearest to full, and how much is free; None when every disk has enough.

    Args:
        folders: some may not be there yet.
        free_bytes: so many have to be free on each disk.
        free_share: and so much of it, 0 to 1.
    """
    found = []
    for folder in map(Path, folders):
        there = next((path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()), None)
        try:
            usage = shutil.disk_usage(there or os.sep)
        except OSError:
            continue  # whoever writes there says what is wrong with it
        if usage.total and usage.free < max(free_bytes, free_share * usage.total):
            found.append((usage.free, folder, f"{size(usage.free)} of {size(usage.total)} are free"))
    return min(found)[1:] if found else None


def _names_a_path(error: OSError) -> bool:
    return isinstance(error.filename, str | bytes) and os.path.isabs(error.filename)
