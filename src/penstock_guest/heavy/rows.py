"""Rows of a database written as lines of JSON, each value in the form that its column's type is read from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson

_BATCH: Final = 2_000
_ESCAPED: Final = tuple(f"\\x{number:02X}" for number in range(256))  # as DuckDB casts text to bytes


def write_lines(
    name: str, rows: Iterable[Sequence[Any]], *, names: Sequence[str], forms: Sequence[Callable[[Any], Any]]
) -> dict[str, int]:
    """Write rows to a new file of the staging folder; return how many there are and how many bytes.

    Args:
        name: of the file.
        rows: as the driver gives them.
        names: of the columns.
        forms: what makes a JSON value of each value that is not null.
    """
    count = size_bytes = 0
    lines: list[bytes] = []
    with open(name, "xb") as file:
        for row in rows:
            values = [None if value is None else form(value) for value, form in zip(row, forms, strict=True)]
            lines.append(orjson.dumps(dict(zip(names, values, strict=True))))
            if len(lines) == _BATCH:
                count, size_bytes = count + len(lines), size_bytes + _put(file.fileno(), lines)
        count, size_bytes = count + len(lines), size_bytes + _put(file.fileno(), lines)
    return {"rows": count, "bytes": size_bytes}


def escaped(value: bytes) -> str:
    """Return bytes as a text that DuckDB casts to the same bytes."""
    return "".join([_ESCAPED[byte] for byte in value])


def _put(descriptor: int, lines: list[bytes]) -> int:
    """Write lines, and forget them."""
    if not lines:
        return 0
    data = b"\n".join(lines) + b"\n"
    lines.clear()
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    return len(data)
