"""Files of the project's folder: read by patterns, each once; written whole or not at all.

On a server, the workspace has a folder for files: they are written there, and read there by a pattern that fits any of
them. Otherwise the pattern is for what was deployed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from penstock.base.hashing import fingerprint
from penstock.base.text import size
from penstock.connectors.gates import Settings
from penstock.connectors.sending import ToFile
from penstock.connectors.taking import Found, FromFiles, checked_pattern, matches, outside, take_new
from penstock.core.columns import Column
from penstock.core.errors import OutputFailed, TaskFailed, TooLarge
from penstock.core.ports import Landed, PipelineContext

_HASH_CHARACTERS: Final = 16


def _folder(text: str) -> str:
    if os.path.normpath(text).split("/")[0] == "..":
        raise ValueError(f"{text!r} leads out of the project's folder; name a folder inside it, such as data")
    return text


class FileSettings(Settings):
    """Files below a folder of the project."""

    path: Annotated[str, AfterValidator(_folder)] = Field(
        "", description="A folder inside the project's; empty for the project's own."
    )


class FilesConnector:
    """Reads and writes files."""

    Spec = FileSettings
    From = FromFiles
    To = ToFile

    def fetch(self, name: str, settings: FileSettings, wanted: FromFiles, ctx: PipelineContext, /) -> Iterator[Landed]:
        """Yield copies of the files that a pattern names and that were not taken yet."""
        yield from take_new(_found(settings, wanted.path, ctx), wanted, ctx)

    def list_files(self, name: str, settings: FileSettings, pattern: str, ctx: PipelineContext, /) -> list[str]:
        """Return the names of the files that a pattern fits, taken or not."""
        return [found.name for found in _found(settings, pattern, ctx)]

    def send(
        self,
        name: str,
        settings: FileSettings,
        wanted: ToFile,
        file: Path,
        ctx: PipelineContext,
        /,
        *,
        columns: Sequence[Column] = (),
    ) -> Mapping[str, Any]:
        """Put a file in its place, at once."""
        folder = ctx.files_folder
        if folder is None:
            raise TaskFailed(
                "this server has no folder for files that pipelines write",
                hint="Export to a connection of the kind s3, or have an operator set PENSTOCK_FILES to a folder that"
                " all hosts see.",
            )
        target = _inside(folder, PurePosixPath(settings.path, wanted.path))
        _require_room(folder, target, file.stat().st_size, room=ctx.files_room())
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(file, target)
        except OSError as error:
            why = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror
            raise OutputFailed(
                f"{PurePosixPath(settings.path, wanted.path)} of the connection {name!r} cannot be written: {why}",
                hint="Look at the folder, its rights and its disk.",
            ) from error
        return {"path": wanted.path, "bytes": target.stat().st_size}


CONNECTOR: Final = FilesConnector()


def _found(settings: FileSettings, pattern: str, ctx: PipelineContext) -> Iterable[Found]:
    """Return the files of the workspace's folder that match, or else those that were deployed."""
    found = [] if ctx.files_folder is None else list(_local(ctx.files_folder, settings, pattern))
    return found or _deployed(settings, pattern, ctx)


def _local(folder: Path, settings: FileSettings, pattern: str) -> Iterator[Found]:
    """Yield the files of a folder that match, in the order of their names."""
    base = _inside(folder, PurePosixPath(settings.path))
    root = folder.resolve()
    for path in sorted(base.glob(checked_pattern(pattern))):
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(base).parts):
            continue
        status = path.stat()
        _inside(root, path.relative_to(root))
        yield Found(
            name=path.relative_to(base).as_posix(),
            mark=f"{status.st_size}-{status.st_mtime_ns}",
            size_bytes=status.st_size,
            copy=partial(shutil.copyfile, path),
            is_touchable=True,
        )


def _deployed(settings: FileSettings, pattern: str, ctx: PipelineContext) -> Iterator[Found]:
    """Yield the files of the project's revision that match."""
    base = PurePosixPath(settings.path)
    pattern = checked_pattern(pattern)
    for name in sorted(ctx.project.files):
        path = PurePosixPath(name)
        if not path.is_relative_to(base) or not matches(path.relative_to(base).as_posix(), pattern):
            continue
        content = ctx.file(name)
        yield Found(
            name=path.relative_to(base).as_posix(),
            mark=fingerprint(content)[:_HASH_CHARACTERS],
            size_bytes=len(content),
            copy=partial(_write, content),
        )


def _inside(folder: Path, path: PurePosixPath | Path) -> Path:
    """Return where a path leads, links followed, when that is below the folder."""
    root = folder.resolve()
    target = (root / path).resolve()
    if not target.is_relative_to(root):
        raise outside(str(path))
    return target


def _require_room(folder: Path, target: Path, size_bytes: int, *, room: int | None) -> None:
    """Raise TooLarge when a file does not fit beside the others of its workspace, the one that it replaces left out."""
    if room is None:
        return
    used = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # it has just gone
                used += 0 if (found := Path(path, name)) == target else found.lstat().st_size
    if used + size_bytes > room:
        raise TooLarge(
            f"the workspace's files have {size(used)}, and {size(size_bytes)} more do not fit;"
            f" with what else it stores, stored_bytes_max leaves them {size(max(room, 0))}",
            hint="Remove files that nobody needs, or have an operator raise the quota. See: penstock quota",
        )


def _replace(file: Path, target: Path) -> None:
    """Copy a file beside its target, on the same disk, and put it in its place once all of it is on the disk."""
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        with file.open("rb") as source, beside.open("xb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _write(content: bytes, target: Path) -> None:
    target.write_bytes(content)
