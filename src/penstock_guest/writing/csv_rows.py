"""Writes rows as CSV: fields are quoted as RFC 4180 says, lines end with a line feed.

None is an empty field, and so is empty text: CSV cannot tell the two apart. A boolean is `true` or `false`, a list or
an object is its JSON. Text that a spreadsheet would take for a formula (one that begins with `=`, `+`, `-` or `@`) is
written as it is: data must come out as it went in, so guarding against that belongs to the script or the spreadsheet.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

_LINE_END: Final = "\r\n"  # so that the csv module quotes text that holds either of the two; replaced by a line feed
_AS_JSON: Final = {bool, list, dict}


def csv_blocks(names: Sequence[str], batches: Iterable[Sequence[list[Any]]]) -> Iterator[bytes]:
    """Yield the bytes of a CSV file: a header line, then rows. Without columns it is empty.

    Args:
        names: of the columns.
        batches: the values of some rows, a list for each column.
    """
    if not names:
        return
    lines: list[str] = []
    writer = csv.writer(_Lines(lines), lineterminator=_LINE_END)
    writer.writerow(names)
    for columns in batches:
        writer.writerows(zip(*map(_fields, columns), strict=True))
        yield _joined(lines)
        lines.clear()
    if lines:
        yield _joined(lines)


class _Lines:
    """A file of lines, as the csv module writes them: one a call."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append


def _joined(lines: list[str]) -> bytes:
    return "\n".join([line[: -len(_LINE_END)] for line in lines] + [""]).encode()


def _fields(values: list[Any]) -> list[Any]:
    if _AS_JSON.isdisjoint(map(type, values)):
        return values
    return [orjson.dumps(value).decode() if type(value) in _AS_JSON else value for value in values]
