"""Tables in words for a terminal: where a snapshot comes from, as a tree, and the rows of an answer."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click
import orjson

from penstock.base.text import count, harmless

View = Mapping[str, Any]
_CELL: Final = 48  # characters of a value that a table shows at least
_LINE: Final = 240  # that the values of a row share where they are few, so that an error stands whole
_NUMBERS: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "U")


def lineage_lines(tree: View, *, above: str = "") -> Iterator[str]:
    """Yield a snapshot and, below it, the snapshots that it was made from.

    Args:
        tree: a snapshot as the API shows it, with `upstream`: the same of each of its inputs.
        above: what stands before the lines of the ones below.
    """
    yield _snapshot_words(tree)
    upstream = tree.get("upstream") or []
    for number, each in enumerate(upstream, start=1):
        last = number == len(upstream)
        first, *rest = lineage_lines(each)
        yield f"{above}{'└── ' if last else '├── '}{first}"
        yield from (f"{above}{'    ' if last else '│   '}{line}" for line in rest)


def row_lines(columns: Sequence[View], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Yield rows below the names of their columns; numbers stand on the right, and long values end in `...`."""
    most = _most(columns)
    names = [harmless(str(column["name"])) for column in columns]
    right = [str(column.get("type", "")).upper().startswith(_NUMBERS) for column in columns]
    cells = [[_cell(value, most) for value in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(names, *cells, strict=True)] if names else []
    yield click.style(_line(names, widths, right), bold=True)
    yield from (_line(row, widths, right) for row in cells)


def is_cut(columns: Sequence[View], rows: Sequence[Sequence[Any]]) -> bool:
    """Return whether `row_lines` leaves out a part of a value."""
    most = _most(columns)
    return any(value is not None and len(str(_plain(value))) > most for row in rows for value in row)


def csv_text(columns: Sequence[View], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as CSV with a header; nulls are empty, nested values are JSON."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([column["name"] for column in columns])
    writer.writerows([[_plain(value) for value in row] for row in rows])
    return written.getvalue()


def _snapshot_words(tree: View) -> str:
    made = f"{tree['project']}/{tree['task']}" + (f" ({tree['version']})" if tree["version"] else "")
    gone = ", expired" if tree["expired"] else ""
    seen = "" if tree["published_at"] else ", never published"
    how = {"append": "added", "replace_partitions": "replaced a part", "replace_table": "replaced all"}
    words = f"{how.get(tree['mode'], tree['mode'])}, {count(tree['rows'], 'row')}{gone}{seen}"
    name = click.style(f"{tree['table']}@{tree['snapshot']}", bold=True)
    again = "  (see above)" if tree.get("repeated") else ""
    return f"{name}  {harmless(made)}, {tree['run']}, {(tree['at'] or '')[:19]}Z: {words}{again}"


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    gaps = [" " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    shown = [gap + cell if to_right else cell + gap for cell, gap, to_right in zip(cells, gaps, right, strict=True)]
    return "  ".join(shown).rstrip()


def _width(text: str) -> int:
    """Return how many places a text takes on a terminal: Chinese letters two, accents that stand apart none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _most(columns: Sequence[View]) -> int:
    return max(_CELL, _LINE // max(len(columns), 1))


def _cell(value: Any, most: int) -> str:
    text = harmless(str(_plain(value)).replace("\n", " ")) if value is not None else "-"
    return text if len(text) <= most else text[: most - 3] + "..."


def _plain(value: Any) -> Any:
    if isinstance(value, dict | list):
        return orjson.dumps(value, default=str).decode()
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
