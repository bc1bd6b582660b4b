"""Raw data as lines: what a locked child makes of what a source sent, before anybody says of which types it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# What a value is in JSON; `text` is a string, and `json` an object or an array, of which the JSON text is kept.
KINDS: Final = ("boolean", "long", "double", "text", "json")
HASH: Final = "_hash"  # of each line: of the record with its names in order
AUDIT: Final = ("_run", "_landed_at", "_source", HASH, "_date")
FILE: Final = "_penstock_file"  # while rows are read: the file of each

# By the name alone, so that every record says the same; and no two names become one.
_TAKEN: Final = re.compile(f"(?:{'|'.join((*AUDIT, FILE))})_*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """What is wanted of a JSON answer; places are names with dots between, empty for the whole.

    Attributes:
        records_at: where the records are: an array, or one object.
        next_at: where it says what comes next: a URL or a cursor; None when it does not.
        cursor_at: the field of each record whose highest value is wanted; None for none.
        known: hashes of records that have landed before, and are left out.
        encoding: how the answer is compressed: `identity` or `gzip`.
    """

    records_at: str = ""
    next_at: str | None = None
    cursor_at: str | None = None
    known: tuple[str, ...] = ()
    encoding: str = "identity"


@dataclass(frozen=True, slots=True)
class RawLines:
    """Records as lines of NDJSON, one each, with `_hash` in it.

    Attributes:
        lines: of the records.
        rejected: lines of `{line, error, record}`, of what could not be read.
        records: how many `lines` has; `refused`, how many `rejected`.
        kinds: which kinds of values each column has, nulls aside; a column of nulls alone has none.
        next: what the answer says comes next; None when it says that there is no more, or nothing.
        highest: of the cursor's field: what it is compared by, and its value; None when no record has it.
        at_highest: hashes of the records that have it, a thousand at most.
        left_out: how many records were left out because they are known.
    """

    lines: bytes
    rejected: bytes
    records: int
    refused: int
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    next: str | int | None = None
    highest: tuple[Any, Any] | None = None
    at_highest: tuple[str, ...] = ()
    left_out: int = 0


def landed_name(name: str) -> str:
    """Return the name of a field's column: with a `_` behind where it is that of an audit column, also in other case.

    One that has a `_` behind already gets one more.
    """
    return f"{name}_" if _TAKEN.fullmatch(name) else name


def later(one: tuple[Any, Any] | None, other: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
    """Return the higher of what two pages have as their highest; the first when they cannot be compared."""
    if one is None or other is None:
        return one or other
    if isinstance(one[0], str) != isinstance(other[0], str):
        return one
    return other if other[0] > one[0] else one


def content_name(name: str) -> str:
    """Return the name under which a file's bytes are remembered: one that no file has, since the file is no folder."""
    return f"{name}/content"
