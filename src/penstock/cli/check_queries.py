"""The query that shows the rows which an expectation has found wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_TEXT_MAX: Final = 300


def rows_query(table: str, failed: Sequence[Mapping[str, Any]]) -> str | None:
    """Return a query of the rows that the first expectation found wrong; of all rows, when it cannot be told simply.

    None when none of them could be judged, as where the table lacks the column: there are no rows to look at then.

    Args:
        table: that was checked.
        failed: verdicts on expectations that were not met.
    """
    judged = [verdict for verdict in failed if not (verdict.get("exception_info") or {}).get("raised_exception")]
    if not judged:
        return None
    for verdict in judged:
        config = verdict.get("expectation_config") or {}
        asked = {name: value for name, value in (config.get("kwargs") or {}).items() if value not in (None, "", {})}
        clause = _clause(str(config.get("type", "")), asked)
        if clause and len(clause) <= _TEXT_MAX and clause.isprintable():
            return f"FROM {table} {clause}"
    return f"FROM {table}"


def _clause(kind: str, asked: dict[str, Any]) -> str | None:
    name = str(asked.pop("column", "")).replace('"', '""')
    column = f'"{name}"'
    asked.pop("mostly", None)
    match kind, asked:
        case _ if not name:
            return None
        case "expect_column_values_to_not_be_null", {**more} if not more:
            return f"WHERE {column} IS NULL"
        case "expect_column_values_to_be_unique", {**more} if not more:
            return f"QUALIFY count({column}) OVER (PARTITION BY {column}) > 1"
        case "expect_column_values_to_be_in_set", {"value_set": [*values], **more} if values and not more:
            literals = [_literal(value) for value in values]
            return None if None in literals else f"WHERE {column} NOT IN ({', '.join(map(str, literals))})"
        case "expect_column_values_to_be_between", _:
            return _outside(column, asked)
    return None


def _outside(column: str, asked: dict[str, Any]) -> str | None:
    sides = {"min_value": "<", "max_value": ">"}
    literals = {name: _literal(value) for name, value in asked.items()}
    if not literals or set(literals) - set(sides) or None in literals.values():
        return None
    return "WHERE " + " OR ".join(f"{column} {sides[name]} {value}" for name, value in literals.items())


def _literal(value: Any) -> str | None:
    """Return a value as SQL has it, None where it has no plain form."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value) if isinstance(value, int | float) else None
