"""The files of a project's folder, as a mapping: those that git knows, or all that nothing hides."""

from __future__ import annotations

import fnmatch
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from penstock.core import limits
from penstock.core.errors import InputNotFound, InputUnreadable, TooLarge
from penstock.core.project_files import check_project_files

_MANIFEST: Final = "penstock.yml"
_GIT_S: Final = 30
_HIDDEN: Final = frozenset(["__pycache__", "node_modules"])


def read_project_folder(folder: Path, *, tracked: bool = False) -> dict[str, bytes]:
    """Return the files of a project by their paths from its folder.

    In a git repository these are the files that git does not ignore; elsewhere all whose names, and whose folders'
    names, do not begin with a dot and are not listed in the folder's `.gitignore`.

    Args:
        folder: that has `penstock.yml`.
        tracked: in a git repository, only what git tracks: what a deployed revision consists of.

    Raises:
        InputNotFound: when there is no project in the folder.
        InputUnreadable: when a file cannot be read, or is a link.
        TooLarge: when there is more than a project may have.
    """
    if not (folder / _MANIFEST).is_file():
        raise InputNotFound(
            f"{folder} is not the folder of a project: there is no {_MANIFEST}",
            hint="Change into one, or make one: penstock init NAME",
        )
    names = sorted(set(_names(folder, tracked=tracked)))
    if tracked and _MANIFEST not in names:
        raise InputNotFound(f"git does not track {folder / _MANIFEST}", hint="Add the project's files: git add .")
    files: dict[str, bytes] = {}
    left_bytes = limits.PROJECT_BYTES.value * 2**20
    for name in names[: limits.PROJECT_FILES.value + 1]:
        content = _read(folder / name, bytes_max=max(0, left_bytes) + 1)
        if content is not None:
            files[name] = content
            left_bytes -= len(content)
        if left_bytes < 0:
            break
    if left_bytes < 0 or len(names) > limits.PROJECT_FILES.value:
        raise _too_large(folder, names)
    check_project_files(files)
    return files


def untracked(folder: Path) -> Sequence[str]:
    """Return the files of a project that git does not track, and does not ignore; none outside of a repository."""
    return _git(folder, "--others", "--exclude-standard") or ()


def _names(folder: Path, *, tracked: bool) -> Sequence[str]:
    more = () if tracked else ("--others", "--exclude-standard")
    known = _git(folder, "--cached", *more)
    if known is None or (not tracked and _MANIFEST not in known):  # a repository around it may ignore the whole folder
        return list(_walk(folder, _ignored(folder)))
    return [name for name in known if not name.startswith(".penstock/")]


def _git(folder: Path, *options: str) -> Sequence[str] | None:
    """Return what `git ls-files` names, None where git knows nothing."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "ls-files", "-z", *options],
            cwd=folder,
            capture_output=True,
            timeout=_GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _walk(folder: Path, ignored: Sequence[str]) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        above = "" if Path(place) == folder else f"{Path(place).relative_to(folder).as_posix()}/"
        folders[:] = sorted(name for name in folders if _shown(above, name, ignored))
        yield from (above + name for name in sorted(names) if _shown(above, name, ignored))


def _shown(above: str, name: str, ignored: Sequence[str]) -> bool:
    if name.startswith(".") or name in _HIDDEN:
        return False
    path = above + name
    return not any(
        fnmatch.fnmatchcase(path, pattern.lstrip("/")) if "/" in pattern else fnmatch.fnmatchcase(name, pattern)
        for pattern in ignored
    )


def _ignored(folder: Path) -> Sequence[str]:
    """Return the plain patterns of `.gitignore`: names, and paths from the folder."""
    try:
        lines = (folder / ".gitignore").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    return [line.strip().rstrip("/") for line in lines if line.strip() and line.strip()[0] not in "#!"]


def _read(path: Path, *, bytes_max: int) -> bytes | None:
    """Return a file's bytes; None for one that git still knows and that is gone."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise InputUnreadable(
                f"{path} is not an ordinary file", hint="A project has no links: put the file itself there."
            )
        with path.open("rb") as file:
            return file.read(bytes_max)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputUnreadable(f"{path} cannot be read: {error.strerror}", hint="Check its rights.") from error


def _too_large(folder: Path, names: Sequence[str]) -> TooLarge:
    sizes = {name: (folder / name).lstat().st_size for name in names if (folder / name).exists()}
    largest = ", ".join(sorted(sizes, key=lambda name: sizes[name], reverse=True)[:3])
    return TooLarge(
        f"{folder} has {len(sizes):,} files with {sum(sizes.values()) / 2**20:,.1f} MiB; a project has "
        f"{limits.PROJECT_FILES.value:,} with {limits.PROJECT_BYTES.value} MiB at most; the largest are {largest}",
        hint="Keep data out of the project: list it in .gitignore.",
    )
