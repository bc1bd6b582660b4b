"""Files of a source, wherever they are: which of them are new, how they come to the staging folder, what they are."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from penstock.core import limits
from penstock.core.errors import DestinationUnavailable, InputNotFound, TaskFailed
from penstock.core.ports import Landed, PipelineContext
from penstock.core.raw import content_name

# In the order of the API: `typing` takes two unions of the same texts for one, and keeps the first.
FileFormat = Literal["ndjson", "json", "csv", "parquet"]

_ENDINGS: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}
_COMPRESSED: Final = (".gz", ".zst")


def _pattern(text: str) -> str:
    try:
        checked_pattern(text)
    except TaskFailed:
        valid = "name files inside it, from there: data/orders-*.csv"
        raise ValueError(f"{text!r} leads out of the connection's folder; {valid}") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class FromFiles(BaseModel):
    """Which files an ingest reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Pattern = Field(min_length=1, description="A path or a pattern, such as orders/*.csv or **/*.ndjson.gz")
    format: FileFormat | None = Field(None, description="What the files are, where their names do not tell.")
    records_at: str = Field("", description="Where in a JSON document its records are: names with dots between.")
    may_be_missing: bool = Field(
        default=False, description="Whether it is fine when no file fits: on some days a shop is closed."
    )
    only_new: bool = Field(default=True, description="Whether each state of a file is taken once, and never again.")


@dataclass(frozen=True, slots=True)
class Found:
    """A file at its source.

    Attributes:
        name: that it is remembered by.
        mark: what tells this state of it from others.
        copy: brings it to a path.
        is_touchable: whether its mark may change when its bytes do not, as a time of change does when it is copied.
    """

    name: str
    mark: str
    size_bytes: int
    copy: Callable[[Path], Any]
    is_touchable: bool = False


def take_new(found: Iterable[Found], wanted: FromFiles, ctx: PipelineContext) -> Iterator[Landed]:
    """Yield those files, copied, that were not taken yet; no more than a task may take at once.

    Raises:
        InputNotFound: when there is no file at all.
        TaskFailed: when they are larger together than a task may read.
    """
    files = list(found)
    if not files and not wanted.may_be_missing:
        raise InputNotFound(
            f"no file fits {wanted.path!r}",
            hint="Look at the path: it begins at the connection's folder. Say may_be_missing: true where that is fine.",
        )
    known = ctx.cursors.seen([(file.name, file.mark) for file in files]) if wanted.only_new else frozenset()
    new = [file for file in files if file.name not in known]
    ctx.log("files were found", files=len(files), new=len(new))
    left_bytes, taken, touched = limits.SOURCE_BYTES.value * 2**20, 0, 0
    for number, file in enumerate(new):
        if taken == limits.SOURCE_FILES.value:
            ctx.log("there are more files than a task takes; the rest comes with the next run", files=len(new))
            break
        if file.size_bytes > left_bytes:
            raise TaskFailed(
                f"the files of {wanted.path!r} have more than {limits.SOURCE_BYTES.value:,} MiB together",
                hint="Take fewer at once: a narrower pattern, or for_each.",
            )
        landed = _landed(file, number, wanted, ctx)
        if wanted.only_new and landed.content and ctx.cursors.seen([(content_name(file.name), landed.content)]):
            landed.path.unlink()
            touched += 1
            continue
        left_bytes, taken = left_bytes - file.size_bytes, taken + 1
        yield landed
    if touched:
        ctx.log("files have the bytes that were taken before, and are left out", files=touched)


def format_of(name: str, given: FileFormat | None) -> FileFormat:
    """Return what a file is.

    Raises:
        TaskFailed: when neither its name nor anybody tells.
    """
    plain = name.lower()
    for ending in _COMPRESSED:
        plain = plain.removesuffix(ending)
    found = given or next((kind for ending, kind in _ENDINGS.items() if plain.endswith(ending)), None)
    if found is None:
        raise TaskFailed(
            f"the name {name[-100:]!r} does not tell what the file is",
            hint=f"Say format: csv, json, ndjson or parquet; or end names with one of {', '.join(_ENDINGS)}.",
        )
    return found


def matches(path: str, pattern: str) -> bool:
    """Return whether a path fits a pattern: `*` is a part of a name, `**` any number of folders."""
    return _fits(path.split("/"), pattern.split("/"))


def _fits(names: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_fits(names[start:], patterns[1:]) for start in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], patterns[0]) and _fits(names[1:], patterns[1:])


def checked_pattern(text: str) -> str:
    """Return a pattern that stays below its folder.

    Raises:
        TaskFailed: when it does not.
    """
    parts = PurePosixPath(text).parts
    if not parts or text.startswith("/") or ".." in parts:
        raise outside(text)
    return "/".join(parts)


def outside(text: str) -> TaskFailed:
    """Return the error of a path that leads out of its folder."""
    return TaskFailed(
        f"the path {text[:200]!r} leads out of the project's folder",
        hint="Name files inside the project, from its folder: data/orders-*.csv",
    )


def _landed(file: Found, number: int, wanted: FromFiles, ctx: PipelineContext) -> Landed:
    kind = format_of(file.name, wanted.format)
    ending = next((each for each in _COMPRESSED if file.name.lower().endswith(each)), "")
    path = ctx.staging / f"file-{number}.{kind}{ending}"
    try:
        file.copy(path)
    except FileNotFoundError as error:
        raise DestinationUnavailable(
            f"{file.name} is gone since the folder was listed", hint="It is looked for again."
        ) from error
    except OSError as error:
        raise TaskFailed(f"{file.name} cannot be read: {error.strerror}", hint="Look at its permissions.") from error
    content = _hash(path) if file.is_touchable else ""
    return Landed(path, file.name, kind, records_at=wanted.records_at, mark=file.mark, content=content)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
