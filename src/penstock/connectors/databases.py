"""What the SQL databases have in common: what an ingest says of one, where it goes on, and how it is cut into parts.

Everything here is pure but the last two functions. Identifiers are quoted; values that a database gave, such as how far
a cursor has come, go back as literals of a form that is checked first.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from penstock.connectors.gates import Settings
from penstock.core.errors import EgressRefused, TaskFailed
from penstock.core.ports import Landed, PipelineContext
from penstock.core.raw import landed_name
from penstock.project.durations import parse_duration

AnswerT = TypeVar("AnswerT")
CursorKind = Literal["number", "moment", "text"]
Quote = Callable[[str], str]

_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_NUMBERS: Final = re.compile(r"int|long|decimal\(.*\)")
MOMENTS: Final = ("date", "timestamp", "timestamptz")
_TEXT_MAX: Final = 1_000
_POLL_S: Final = 0.25


class DatabaseSettings(Settings):
    """How to reach a database server."""

    host: str = Field(min_length=1, max_length=253, description="Its name or address.")
    database: str = Field(min_length=1, description="The database on it.")
    user: str = Field(min_length=1, description="Who logs in; one that may only read is best.")
    password: str = Field("", description="As ${secret:NAME}.")
    tls: Literal["verify", "require", "off"] = Field(
        "verify",
        description="verify: encrypted, and the certificate must be the host's; require: encrypted; off: neither.",
    )
    ca: str | None = Field(None, description="A file of the project with the certificates to trust, instead of usual.")
    timeout: int = Field(3_600, ge=1, le=86_400, description="So many seconds a statement may take.")


class FromDatabase(BaseModel):
    """What an ingest reads from a database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str | None = Field(None, min_length=1, description="A table or view, with its schema: public.orders")
    query: str | None = Field(None, min_length=1, description="Or a SELECT.")
    cursor: str | None = Field(None, description="A column that grows, such as updated_at: only later rows are read.")
    lookback: str | int | float | None = Field(
        None, description="How far before the last cursor to read again: 2h of a time, 1000 of a number."
    )
    split_by: str | None = Field(None, description="A column by whose ranges the rows are read in parts, in parallel.")
    parts: int = Field(4, ge=2, le=32, description="Into how many parts.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("it reads either a table or a query: say one of them")
        if self.lookback is not None and self.cursor is None:
            raise ValueError("lookback is how far before the last cursor to read; say cursor, too")
        if isinstance(self.lookback, str):
            parse_duration(self.lookback)
        return self


@dataclass(frozen=True, slots=True)
class Look:
    """What a database says before rows are read.

    Attributes:
        columns: types of the lake by name, in order; empty where the database does not know.
        upto: the highest cursor, as text; None when there is none.
        low: the lowest value of what the rows are cut by; `high` the highest.
    """

    columns: dict[str, str]
    upto: str | None = None
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of a source are read: one condition for each part; nothing is new when there is no part."""

    conditions: tuple[str, ...]
    cursor: str | None = None


def relation(wanted: FromDatabase, quote: Quote) -> str:
    """Return what rows are read from: the table, or the query in parentheses."""
    if wanted.table is not None:
        return ".".join(quote(part) for part in wanted.table.split("."))
    return f"({(wanted.query or '').strip().rstrip(';')}\n) AS penstock_query"


def bounds(wanted: FromDatabase, form: Callable[[str, str], str]) -> str:
    """Return what to select for the last three of a `Look`; nothing when the task asks for none of them.

    Args:
        wanted: by the task.
        form: from a function and the name of a column to SQL.
    """
    if wanted.cursor is None and wanted.split_by is None:
        return ""
    asked = ((wanted.cursor, "max"), (wanted.split_by, "min"), (wanted.split_by, "max"))
    return ", ".join("NULL" if name is None else form(function, name) for name, function in asked)


def since(wanted: FromDatabase, ctx: PipelineContext) -> str | None:
    """Return how far the task's cursor has come; None at first, and for a task without one."""
    return None if wanted.cursor is None else ctx.cursors.get(_cursor_name(wanted))


def landed(
    connection: str,
    wanted: FromDatabase,
    ctx: PipelineContext,
    *,
    files: Sequence[Path],
    rows: Sequence[int],
    columns: dict[str, str],
    upto: str | None,
) -> Iterator[Landed]:
    """Yield the files that hold rows, as raw data; once they are taken, the cursor has come to `upto`."""
    source = f"{connection}/{wanted.table or 'query'}"
    types = {landed_name(name): kind for name, kind in columns.items() if kind}
    yield from (Landed(file, source, "ndjson", columns=types) for file, count in zip(files, rows, strict=True) if count)
    if wanted.cursor is not None and upto is not None:
        ctx.cursors.set(_cursor_name(wanted), upto)


def _cursor_name(wanted: FromDatabase) -> str:
    return f"{wanted.table or 'query'}:{wanted.cursor}"


def require_columns(wanted: FromDatabase, names: Sequence[str]) -> None:
    """Refuse rows that cannot be told apart, and columns that are not there.

    Raises:
        TaskFailed: naming them.
    """
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise TaskFailed(f"the query has two columns {name!r}", hint="Give each a name of its own: SELECT a AS b.")
        seen.add(name.lower())
    for asked in (wanted.cursor, wanted.split_by):
        if asked is not None and asked not in names:
            shown = ", ".join(names[:20])
            raise TaskFailed(f"there is no column {asked!r}", hint=f"There are: {shown}.")


def kind_of(name: str, kind: str) -> CursorKind:
    """Return how values of a column grow.

    Raises:
        TaskFailed: when they do not.
    """
    if _NUMBERS.fullmatch(kind):
        return "number"
    if kind in MOMENTS:
        return "moment"
    if kind in ("string", "uuid", ""):
        return "text"
    raise TaskFailed(
        f"rows cannot be read by ranges of {name!r}, which is {kind}",
        hint="Take a column of whole numbers, decimals, dates, times or text.",
    )


def plan(
    wanted: FromDatabase, look: Look, *, since: str | None, quote: Quote, literal: Callable[[str, str], str]
) -> Wanted:
    """Return which rows to read.

    Args:
        wanted: by the task.
        look: what the database says.
        since: how far the cursor had come; None at first.
        quote: for names of columns.
        literal: from a value's text and its column's type to SQL.
    """
    bounds: list[str] = []
    if wanted.cursor is not None:
        if look.upto is None or (look.upto == since and wanted.lookback is None):
            return Wanted(())
        name, kind = quote(wanted.cursor), look.columns[wanted.cursor]
        bounds.append(f"{name} <= {literal(_checked(look.upto, wanted.cursor, kind), kind)}")
        if since is not None:
            start = _before(since, wanted, kind)
            sign = ">" if wanted.lookback is None else ">="
            bounds.append(f"{name} {sign} {literal(_checked(start, wanted.cursor, kind), kind)}")
    return Wanted(tuple(_all(bounds, part) for part in _parts(wanted, look, quote, literal)), look.upto)


def _parts(wanted: FromDatabase, look: Look, quote: Quote, literal: Callable[[str, str], str]) -> list[str]:
    """Return a condition for each part, which together hold for every row once."""
    if wanted.split_by is None or look.low is None or look.high is None:
        return [""]
    name, kind = quote(wanted.split_by), look.columns[wanted.split_by]
    low, high = (_checked(value, wanted.split_by, kind) for value in (look.low, look.high))
    cuts = [literal(cut, kind) for cut in cuts_between(low, high, kind=kind, parts=wanted.parts)]
    if not cuts:
        return [""]
    middle = [f"{name} >= {low} AND {name} < {high}" for low, high in itertools.pairwise(cuts)]
    return [f"({name} < {cuts[0]} OR {name} IS NULL)", *middle, f"{name} >= {cuts[-1]}"]


def cuts_between(low: str, high: str, *, kind: str, parts: int) -> list[str]:
    """Return where to cut a range into parts of the same width; fewer when it is too narrow, none for texts."""
    if kind_of("", kind) == "text":
        return []
    if kind in MOMENTS:
        first, last = dt.datetime.fromisoformat(low), dt.datetime.fromisoformat(high)
        step = (last - first) / parts
        moments = [first + step * number for number in range(1, parts)]
        return list(dict.fromkeys(_moment_text(moment, kind) for moment in moments)) if step else []
    start, width = Decimal(low), (Decimal(high) - Decimal(low)) / parts
    whole = not kind.startswith("decimal")
    cuts = [start + width * number for number in range(1, parts)]
    found = dict.fromkeys(str(int(cut)) if whole else f"{cut:f}" for cut in cuts)
    return [cut for cut in found if Decimal(cut) > start]


def _before(since: str, wanted: FromDatabase, kind: str) -> str:
    """Return where to begin to read: so far before the last cursor as the task says."""
    if wanted.lookback is None:
        return since
    if kind in MOMENTS:
        span = dt.timedelta(seconds=parse_duration(wanted.lookback))
        return _moment_text(dt.datetime.fromisoformat(since) - span, kind)
    if kind_of(wanted.cursor or "", kind) == "number":
        return f"{Decimal(since) - Decimal(str(wanted.lookback)):f}"
    raise TaskFailed(f"there is no looking back in {wanted.cursor!r}, which is text", hint="Leave lookback out.")


def _moment_text(moment: dt.datetime, kind: str) -> str:
    return moment.date().isoformat() if kind == "date" else moment.isoformat(sep=" ")


def _checked(value: str, name: str, kind: str) -> str:
    """Return a value that a database gave for a cursor, when it has the form of its type.

    Raises:
        TaskFailed: when it has not.
    """
    how = kind_of(name, kind)
    fine = len(value) <= _TEXT_MAX
    if how == "number":
        fine = _NUMBER.fullmatch(value) is not None
    elif how == "moment":
        with contextlib.suppress(ValueError):
            dt.datetime.fromisoformat(value)
            return value
        fine = False
    if not fine:
        raise TaskFailed(f"the highest {name!r} is no value that a cursor can be", hint="Take another column.")
    return value


def _all(bounds: Sequence[str], part: str) -> str:
    return " AND ".join([*bounds, *([part] if part else [])])


def endpoint(settings: DatabaseSettings, port: int, ctx: PipelineContext) -> tuple[str, ...]:
    """Return the addresses of a server, if the workspace's work may reach it.

    Raises:
        EgressRefused: when it may not; without TLS, only what the policy lists.
        DestinationUnavailable: when its name cannot be resolved now.
    """
    scheme = "http" if settings.tls == "off" else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        return ctx.resolve(f"{scheme}://{host}:{port}/").addresses
    except EgressRefused as error:
        hint = error.hint.replace("Use https.", "Let it be encrypted: tls: verify.")
        raise EgressRefused(f"{settings.host}:{port} cannot be read from here: {error.message}", hint=hint) from None


def in_parts(
    work: Sequence[Callable[[], AnswerT]],
    ctx: PipelineContext,
    *,
    at_once: int,
    files: Sequence[Path],
    cancel: Callable[[], None] = lambda: None,
) -> Iterator[AnswerT]:
    """Yield what each piece of work gives, in order, several at once; meanwhile it is told how much has arrived.

    When one fails, those that have not begun do not, and `cancel` ends the others.

    Raises:
        Stopped: when the run was cancelled meanwhile.
    """
    with concurrent.futures.ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="part") as pool:
        futures = [pool.submit(piece) for piece in work]
        try:
            while not all(future.done() for future in futures):
                concurrent.futures.wait(futures, timeout=_POLL_S, return_when="FIRST_EXCEPTION")
                if any(future.done() and future.exception() for future in futures):
                    break
                ctx.progress(_arrived(files), unit="bytes")
            for future in futures:
                yield future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            cancel()  # or the pool waits until the others have read all that there is
            raise


def _arrived(files: Sequence[Path]) -> int:
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total
