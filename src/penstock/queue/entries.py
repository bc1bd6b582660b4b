"""The rows of entries: how they are written, closed, and read back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy.exc import IntegrityError

from penstock.core.errors import Bug
from penstock.core.jobs import Entry, Lease
from penstock.database.statements import Statement

COLUMNS: Final = (
    "id, workspace, lane, run, task, part, number, -rank AS priority, attempt, attempts_max,"
    " not_before, deadline, reason"
)
WRITTEN: Final = [
    *("id", "workspace", "lane", "run", "task", "part", "number", "rank", "attempt", "attempts_max"),
    *("not_before", "deadline", "reason", "state", "ready_at"),
]
# By place: of many rows, SQLite's driver takes a quarter of the time for looking each name up in each.
_INSERT: Final = Statement(
    f"INSERT INTO queue_entries ({', '.join(WRITTEN)}) VALUES ({', '.join('?' for _ in WRITTEN)})"
)

# Which leases are meant; each is still held only under its own token.
_HELD_SQLITE: Final = """
    state = 'leased' AND (id, token) IN
        (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:leases))"""
_HELD_POSTGRESQL: Final = """
    state = 'leased' AND (id, token) IN (SELECT * FROM unnest(:ids::text[], :tokens::bigint[]))"""


def insert(tx: Any, entries: Sequence[Entry], *, now: float) -> None:
    """Add rows.

    Raises:
        Bug: when an id is there already.
    """
    rows = [row_of(entry, now) for entry in entries]
    with refusing_repeats():
        _INSERT.do(tx, rows if len(rows) > 1 else rows[0])


@contextlib.contextmanager
def refusing_repeats() -> Iterator[None]:
    """Say what it means that an id is there already."""
    try:
        yield
    except IntegrityError as error:
        raise Bug("an entry is in the queue already", hint="Give each entry an id of its own.") from error


def is_scheduled(entry: Entry, now: float) -> bool:
    """Return whether an entry has to wait for its time first."""
    return entry.not_before is not None and entry.not_before > now


def entry_of(row: Sequence[Any]) -> Entry:
    """Return the entry of a row that begins with `COLUMNS`."""
    return Entry(*row[:13])


def held(sql: str) -> Statement:
    """Return a statement about leases that are still held: `HELD` in it says which."""
    return Statement(sql.replace("HELD", _HELD_SQLITE), postgresql=sql.replace("HELD", _HELD_POSTGRESQL))


def naming(tx: Any, leases: Iterable[Lease]) -> dict[str, Any]:
    """Return the parameters that `HELD` takes."""
    if tx.dialect.name == "sqlite":
        return {"leases": json.dumps([(lease.entry.id, lease.token) for lease in leases])}
    leases = list(leases)
    return {"ids": [lease.entry.id for lease in leases], "tokens": [lease.token for lease in leases]}


def row_of(entry: Entry, now: float) -> tuple[Any, ...]:
    """Return a new row, in the order of `WRITTEN`."""
    scheduled = is_scheduled(entry, now)
    return (
        *(entry.id, entry.workspace, entry.lane, entry.run, entry.task, entry.part, entry.number),
        *(-entry.priority, entry.attempt, entry.attempts_max, entry.not_before, entry.deadline, entry.reason),
        *(("scheduled", None) if scheduled else ("ready", now)),
    )
