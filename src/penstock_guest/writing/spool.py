"""Reads a spool of NDJSON, a slice at a time: once for its columns, then for its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import orjson

from penstock_guest import exact_json
from penstock_guest.writing.errors import SpoolError

_SLICE_BYTES: Final = 2**20


@dataclass(slots=True)
class Column:
    """What a column holds in all records: the types of its values, None not counted, and the range of its integers."""

    types: set[type] = field(default_factory=set)
    low: int = 0
    high: int = 0

    def add(self, values: list[Any]) -> None:
        """Take note of some values."""
        types = set(map(type, values))
        self.types |= types - {type(None)}
        if int in types:
            integers = values if len(types) == 1 else [value for value in values if type(value) is int]
            self.low = min(self.low, *integers)
            self.high = max(self.high, *integers)


def names_in(spool: memoryview) -> list[str]:
    """Return the names of the columns of all records, in order of first appearance."""
    names: dict[str, None] = {}
    for records in _slices(spool):
        names |= dict.fromkeys(chain.from_iterable(records))
    return list(names)


def survey(spool: memoryview) -> dict[str, Column]:
    """Return the columns of all records, in order of first appearance."""
    columns: dict[str, Column] = {}
    for records in _slices(spool):
        for name in dict.fromkeys(chain.from_iterable(records)):
            columns.setdefault(name, Column()).add([record.get(name) for record in records])
    return columns


def columns_of(spool: memoryview, names: list[str]) -> Iterator[list[list[Any]]]:
    """Yield the values of some records, a list for each column."""
    for records in _slices(spool):
        yield [[record.get(name) for record in records] for name in names]


def _slices(spool: memoryview) -> Iterator[list[dict[str, Any]]]:
    """Yield the records, as many at a time as a slice of the spool holds.

    Raises:
        SpoolError: when a line is no record: the spool is what a script's child gave out, and that may be anything.
    """
    rest = b""
    for start in range(0, len(spool), _SLICE_BYTES):
        lines = (rest + bytes(spool[start : start + _SLICE_BYTES])).split(b"\n")
        rest = lines.pop()
        yield _records(lines)
    if rest:
        yield _records([rest])


def _records(lines: list[bytes]) -> list[dict[str, Any]]:
    try:
        records = [*map(exact_json.loads_for(b"".join(lines)), lines)]
    except orjson.JSONDecodeError as error:
        raise SpoolError("reply_forged", f"a line of the output is not valid JSON: {error.msg}") from error
    if any(type(record) is not dict for record in records):
        raise SpoolError("reply_forged", "a line of the output is not a JSON object")
    return records
