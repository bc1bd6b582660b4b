"""What is checked, as SQL: a table's relation, its columns as cells, and values of a suite as literals of their types.

Cells are null where pandas, and so Great Expectations, sees nothing: at nulls, and at NaN in columns of floating point.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.core.columns import Column, spelled
from penstock.core.duckdb_sql import quoted, sql_type, text

NUMBERS: Final = frozenset(["int", "long", "float", "double", "decimal"])
TIMES: Final = frozenset(["date", "timestamp", "timestamptz"])
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Impossible(Exception):
    """An expectation cannot be judged on this table; its message says why, and the verdict carries it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as a suite meets it.

    Attributes:
        relation: what stands for it in a FROM clause, such as `read_parquet([...])`.
        columns: of the relation; a column that is not here is not there.
        others: relations of other tables that expectations may name.
        now: seconds since 1970; what is fresh is measured from here.
    """

    relation: str
    columns: Sequence[Column]
    others: Mapping[str, str] = field(default_factory=dict)
    now: float = 0.0

    def column(self, name: str) -> Column:
        """Return a column.

        Raises:
            Impossible: when there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        known = ", ".join(repr(column.name) for column in self.columns[:20])
        raise Impossible(f"there is no column {name!r}; there are: {known or 'none'}")


def kind(column: Column) -> str:
    """Return the name of a column's type without its digits: `decimal`, `long`, `struct`."""
    return spelled(column.type).partition("(")[0].partition("[")[0].partition("<")[0]


def cell(column: Column) -> str:
    """Return a column's value, null where there is nothing."""
    name = quoted(column.name)
    return f"nullif({name}, 'NaN')" if kind(column) in ("float", "double") else name


def as_text(column: Column) -> str:
    """Return a column's value as text."""
    return cell(column) if kind(column) == "string" else f"CAST({cell(column)} AS VARCHAR)"


def plain(expression: str, column: Column) -> str:
    """Return an expression of a column's type as what JSON has: numbers, booleans and text stay, others become text."""
    return (
        expression
        if kind(column) in {"int", "long", "float", "double", "boolean", "string"}
        else (f"CAST({expression} AS VARCHAR)")
    )


def number(column: Column) -> str:
    """Return a column's value, of a numeric column.

    Raises:
        Impossible: when it is none.
    """
    if kind(column) == "boolean":
        return f"CAST({quoted(column.name)} AS INTEGER)"
    if kind(column) not in NUMBERS:
        raise Impossible(f"column {column.name!r} is {spelled(column.type)}; this needs a column of numbers")
    return cell(column)


def literal(value: Any, column: Column) -> str:
    """Return a value of a suite as a literal that compares with a column.

    Raises:
        Impossible: when values of that type and the column cannot be compared.
    """
    wanted = kind(column)
    if wanted in NUMBERS and isinstance(value, int | float):
        return number_literal(value, exact=wanted == "decimal")
    if wanted == "boolean" and value in (True, False):
        return "true" if value else "false"
    if wanted in ("string", "uuid", "time") and isinstance(value, str):
        return text(value) if wanted == "string" else f"CAST({text(value)} AS {sql_type(column.type)})"
    if wanted in TIMES and isinstance(value, str):
        return _time_literal(value, wanted)
    raise Impossible(f"{value!r} cannot be compared with column {column.name!r}, which is {spelled(column.type)}")


def comparable(values: Iterable[Any], column: Column) -> list[str]:
    """Return the literals of those values that a column's values can be equal to; null is never among them."""
    found = []
    for value in values:
        try:
            found.append(literal(value, column))
        except Impossible:
            continue
    return found


def number_literal(value: float, *, exact: bool = False) -> str:
    """Return a number as a literal.

    Args:
        value: the number.
        exact: write it as a decimal, digit by digit, and not as the nearest floating-point number.
    """
    if isinstance(value, bool | int):
        return str(int(value)) if abs(value) < 10**37 else f"CAST('{float(value)!r}' AS DOUBLE)"
    written = repr(value)
    if exact and math.isfinite(value) and "e" not in written:
        return written
    return f"CAST('{written}' AS DOUBLE)"


def joined(word: str, parts: Sequence[str]) -> str:
    """Return conditions joined by AND or OR, halved again and again, so that hundreds of them are not nested deeply."""
    if len(parts) <= 8:
        return f" {word} ".join(f"({part})" for part in parts)
    middle = len(parts) // 2
    return f"({joined(word, parts[:middle])}) {word} ({joined(word, parts[middle:])})"


def _time_literal(value: str, wanted: str) -> str:
    try:
        moment = dt.datetime.fromisoformat(value.strip())
    except ValueError:
        raise Impossible(
            f"{value!r} is no date or time; valid are such as 2026-01-31 and 2026-01-31T12:30:00"
        ) from None
    if wanted == "timestamptz":
        aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return f"make_timestamptz({(aware - _EPOCH) // dt.timedelta(microseconds=1)})"
    if moment.tzinfo is not None:
        raise Impossible(f"{value!r} has a time zone, the column's values have none")
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"
