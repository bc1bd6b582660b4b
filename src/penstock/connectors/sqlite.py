"""SQLite: rows of a file of the project, read by a locked child from a copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pydantic import Field

from penstock.connectors.databases import (
    FromDatabase,
    Look,
    landed,
    plan,
    relation,
    require_columns,
    since,
)
from penstock.connectors.gates import Settings
from penstock.core.errors import DestinationUnavailable, InputNotFound, TaskFailed
from penstock.core.ports import Landed, PipelineContext

_COPY_TRIES: Final = 3
_HEADER_BYTES: Final = 100
_MAGIC: Final = b"SQLite format 3\0"


class SqliteSettings(Settings):
    """Where the file is."""

    path: str = Field(min_length=1, description="A file of the project, such as data/shop.db")


class SqliteConnector:
    """Reads tables and queries."""

    Spec = SqliteSettings
    From = FromDatabase
    To = None

    def fetch(
        self, name: str, settings: SqliteSettings, wanted: FromDatabase, ctx: PipelineContext, /
    ) -> Iterator[Landed]:
        """Yield what the query gives; a file is read in one part, whatever a task says."""
        copy = _copied(settings, ctx)
        source = relation(wanted, quoted)
        look, declared = _look(copy, wanted, source, ctx)
        one = wanted.model_copy(update={"split_by": None})
        planned = plan(one, look, since=since(wanted, ctx), quote=quoted, literal=literal)
        files, rows, types = [], [], {}
        for condition in planned.conditions:
            query = f"SELECT * FROM {source}" + (f" WHERE {condition}" if condition else "")
            files.append(ctx.staging / f"{name}.ndjson")
            said = _ask(copy, {"read": query, "output": files[-1].name, "declared": declared}, ctx)
            rows.append(int(said["rows"]))
            types = {str(column): str(kind) for column, kind in said["types"].items()}
        yield from landed(name, wanted, ctx, files=files, rows=rows, columns=types, upto=planned.cursor)
        copy.unlink()


CONNECTOR: Final = SqliteConnector()


def quoted(name: str) -> str:
    """Return a name as SQLite reads it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str, kind: str) -> str:
    """Return a value as a literal: SQLite compares a number with a text by their kinds, and nothing else."""
    return value if kind in ("long", "double") else "'" + value.replace("'", "''") + "'"


def _look(copy: Path, wanted: FromDatabase, source: str, ctx: PipelineContext) -> tuple[Look, dict[str, str]]:
    """Return what the file says before rows are read, and the types that a table declares."""
    questions = {"columns": f"SELECT * FROM {source} LIMIT 0"}
    if wanted.table is not None:
        questions["declared"] = f"SELECT name, type FROM pragma_table_info({literal(wanted.table, '')})"
    if wanted.cursor is not None:
        name = quoted(wanted.cursor)
        questions["upto"] = f"SELECT max({name}), typeof(max({name})) FROM {source}"
    said = _ask(copy, {"look": questions}, ctx)
    names = [str(name) for name, _ in said["columns"]["columns"]]
    require_columns(wanted, names)
    declared = {str(name): str(kind or "") for name, kind in said["declared"]["rows"]} if "declared" in said else {}
    if wanted.cursor is None:
        return Look(dict.fromkeys(names, "")), declared
    upto, kind = said["upto"]["rows"][0]
    kinds = {"integer": "long", "text": "string", "null": "string"}
    if kind not in kinds:
        raise TaskFailed(
            f"rows cannot be read by ranges of {wanted.cursor!r}, which holds a value of the type {kind}",
            hint="Take a column of whole numbers or text.",
        )
    return Look({**dict.fromkeys(names, ""), wanted.cursor: kinds[kind]}, upto), declared


def _ask(copy: Path, ask: Mapping[str, Any], ctx: PipelineContext) -> Mapping[str, Any]:
    said = ctx.run_driver("sqlite", {"file": str(copy), **ask}, reads=[str(copy)])
    if (failed := said.get("failed")) is not None:
        raise TaskFailed(f"SQLite: {failed['message']}", hint="Correct the query, or look at the file.")
    return said


def _copied(settings: SqliteSettings, ctx: PipelineContext) -> Path:
    """Return a copy of the file in the staging folder: nobody else writes to it, and it holds everything.

    Raises:
        InputNotFound: when there is no such file.
        DestinationUnavailable: when somebody writes to it all the time.
        TaskFailed: when a part of it is in a file beside it still, or it lies outside of the project.
    """
    copy = ctx.staging / "source.db"
    is_there = ctx.files_folder is not None and (ctx.files_folder / settings.path).exists()
    if ctx.files_folder is None or (not is_there and settings.path in ctx.project.files):
        if settings.path not in ctx.project.files:
            raise _missing(settings.path)
        copy.write_bytes(ctx.file(settings.path))
        return _plain(copy)
    path = _inside(ctx.files_folder, settings.path)
    for _ in range(_COPY_TRIES):
        before = _state(path)
        shutil.copyfile(path, copy)
        if _state(path) == before:
            return _plain(copy)
    raise DestinationUnavailable(f"{settings.path} is written to all the time", hint="It is tried again.")


def _state(path: Path) -> tuple[int, int]:
    """Return what tells states of a file apart.

    Raises:
        TaskFailed: when a part of it is in a file beside it still.
    """
    beside = path.with_name(path.name + "-wal")
    if beside.exists() and beside.stat().st_size:
        raise TaskFailed(
            f"{path.name} is open elsewhere, and its last changes are in {beside.name}",
            hint="Close it there, or let it say: PRAGMA wal_checkpoint(TRUNCATE)",
        )
    if path.with_name(path.name + "-journal").exists():
        raise DestinationUnavailable(f"somebody is writing to {path.name}", hint="It is tried again.")
    return path.stat().st_size, path.stat().st_mtime_ns


def _plain(copy: Path) -> Path:
    """Return a copy whose header is that of a SQLite file."""
    with copy.open("rb") as file:
        if not file.read(_HEADER_BYTES).startswith(_MAGIC):
            raise TaskFailed("the file is no SQLite database", hint="Look at the path of the connection.")
    return copy


def _inside(folder: Path, text: str) -> Path:
    root = folder.resolve()
    target = (root / PurePosixPath(text)).resolve()
    if not target.is_relative_to(root):
        raise TaskFailed(f"the path {text[:200]!r} leads out of the project's folder", hint="Name a file inside it.")
    if not target.is_file():
        raise _missing(text)
    return target


def _missing(text: str) -> InputNotFound:
    return InputNotFound(
        f"there is no file {text[:200]!r}", hint="Look at the path: it begins at the project's folder."
    )
