"""Rows and columns on a terminal, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import orjson

from penstock.base.text import harmless


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print rows as a table, or all that is known of them as JSON.

    Args:
        rows: what to print.
        columns: the names that a table shows, in order.
        as_json: whether JSON is wanted.
        empty: what a person reads when there are none.
    """
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(empty, err=True)
        return
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    heads = [column.removesuffix("_at").replace("_", " ") for column in columns]
    widths = [max(len(line[place]) for line in [heads, *cells]) for place in range(len(columns))]
    click.secho(_line(heads, widths), bold=True)
    for line in cells:
        click.echo(_line(line, widths))


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " ".join(str(item) for item in value) or "-"
    return harmless(str(value))
