"""Adding entries on PostgreSQL and waking workers, all in one statement: a trip to the server costs more than the work.

A notice is sent when a lane had nothing ready before. Sending one each time would make commits follow one another, as
PostgreSQL orders notices by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any, Final

from penstock.core.jobs import Entry
from penstock.database.statements import Statement, copy_rows
from penstock.queue.counting import NAMES, Changes
from penstock.queue.entries import WRITTEN, refusing_repeats, row_of

CHANNEL: Final = "penstock_queue"
_INTEGERS: Final = ["number", "rank", "attempt", "attempts_max", "scheduled", "ready", "running", "finished"]
_TIMES: Final = ["not_before", "deadline", "ready_at", "busy_s", "charged_s"]
_TYPES: Final = dict.fromkeys(_INTEGERS, "int") | dict.fromkeys(_TIMES, "float8")
_CHANGED: Final = ("workspace", "lane", *NAMES)


def _arrays(names: Sequence[str], prefix: str) -> str:
    return ", ".join(f":{prefix}{name}::{_TYPES.get(name, 'text')}[]" for name in names)


_ENTRIES: Final = f"""
    entries AS (INSERT INTO queue_entries ({", ".join(WRITTEN)}) SELECT * FROM unnest({_arrays(WRITTEN, "entry_")})),"""
_CHANGES: Final = f"""
    changes AS (INSERT INTO queue_changes ({", ".join(_CHANGED)}) SELECT * FROM unnest({_arrays(_CHANGED, "change_")}))
    SELECT pg_notify('{CHANNEL}', '') WHERE EXISTS (
        SELECT 1 FROM unnest(:change_workspace::text[], :change_lane::text[], :change_ready::int[])
            AS given (workspace, lane, ready)
        WHERE given.ready > 0 AND NOT EXISTS (
            SELECT 1 FROM queue_entries e
            WHERE e.workspace = given.workspace AND e.lane = given.lane AND e.state = 'ready'
        ))"""
_ADD: Final = Statement("", postgresql=f"WITH {_ENTRIES} {_CHANGES}")
_ANNOUNCE: Final = Statement("", postgresql=f"WITH {_CHANGES}")
_COPIED_FROM: Final = 100  # entries; COPY takes two thirds of the time, and a trip of its own


def add(tx: Any, entries: Sequence[Entry], changes: Changes, *, now: float) -> None:
    """Add entries and what they change, and wake workers when the transaction is committed.

    Raises:
        Bug: when an id is there already.
    """
    rows = [row_of(entry, now) for entry in entries]
    values = _columns("change_", _CHANGED, map(astuple, changes))
    with refusing_repeats():
        if len(rows) < _COPIED_FROM:
            _ADD.fetch(tx, values | _columns("entry_", WRITTEN, rows))
        else:
            _ANNOUNCE.fetch(tx, values)  # before it, or it would see these entries themselves
            copy_rows(tx, "queue_entries", columns=WRITTEN, rows=rows)


def _columns(prefix: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    return {prefix + name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
