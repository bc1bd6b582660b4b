"""Writes rows as CSV: fields are quoted as RFC 4180 says, lines end with a line feed.

None is an empty field, and so is empty text: CSV cannot tell the two apart. A boolean is `true` or `false`, a list or
an object is its JSON. Text that a spreadsheet would take for a formula (one that begins with `=`, `+`, `-` or `@`) is
written as it is: data must come out as it went in, so guarding against that belongs to the script or the spreadsheet.

Columns are looked at whole, because in most of them nothing needs quotes: the csv module, which looks at every
character of every field, takes twice as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from penstock_guest import exact_json

_SPECIAL: Final = re.compile('[",\r\n]')
_TEXT: Final = {str, type(None)}
_AS_JSON: Final = {bool, list, dict}


def csv_blocks(names: Sequence[str], batches: Iterable[Sequence[list[Any]]]) -> Iterator[bytes]:
    """Yield the bytes of a CSV file: a header line, then rows. Without columns it is empty.

    Args:
        names: of the columns.
        batches: the values of some rows, a list for each column.
    """
    if names:
        yield _lines([[name] for name in names])
    for columns in batches:
        yield _lines(columns)


def _lines(columns: Sequence[list[Any]]) -> bytes:
    fields = [_fields(values) for values in columns]
    if len(fields) == 1:  # an empty field alone would be a blank line, and no row
        fields = [[field or '""' for field in fields[0]]]
    lines = [",".join(row) for row in zip(*fields, strict=True)]
    return "\n".join([*lines, ""]).encode() if lines else b""


def _fields(values: list[Any]) -> list[str]:
    texts = [value or "" for value in values] if _TEXT.issuperset(map(type, values)) else [*map(_text, values)]
    together = ";".join(texts)
    if any(special in together for special in '",\r\n'):
        return ['"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text for text in texts]
    return texts


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return exact_json.dumps(value).decode() if type(value) in _AS_JSON else str(value)
