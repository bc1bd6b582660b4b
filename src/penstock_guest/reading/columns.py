"""Turns records into an Arrow table, whatever they hold. Needs the profile arrow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from penstock_guest import exact_json


def table_of(records: Sequence[dict[str, Any]], *, as_text: bool = False) -> pa.Table:
    """Return records as a table, with a column for every name in any of them, in order of first appearance.

    Args:
        records: as decoded; a name that one lacks is null in its row.
        as_text: every column is text, as records of CSV have it; else its type is what the values share.
    """
    names = list(dict.fromkeys(chain.from_iterable(records)))
    kind = pa.string() if as_text else None
    return pa.table({name: column_of([record.get(name) for record in records], kind) for name in names})


def column_of(values: list[Any], kind: pa.DataType | None = None) -> pa.Array:
    """Return values as a column of the type they share, or as text where they share none.

    Integers and doubles share double where that holds every integer exactly. In a column of text, what is no text is
    written as JSON.
    """
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([value if value is None or isinstance(value, str) else json_of(value) for value in values])


def json_of(value: Any) -> str:
    """Return a value as JSON."""
    return exact_json.dumps(value).decode()
