"""Expectations about several columns of each row: which rows count, and how samples show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from penstock.checks.check import Check, Failing, Rows, judge_each
from penstock.checks.specs import ManySpec, PairSpec
from penstock.checks.tables import Table, cell, kind, plain
from penstock.core.columns import Column

_ALL: Final = ("both_values_are_missing", "all_values_are_missing")
_ANY: Final = ("either_value_is_missing", "any_value_is_missing")


def columns_of(spec: PairSpec | ManySpec, table: Table) -> list[Column]:
    """Return the columns that an expectation names.

    Raises:
        Impossible: when one is not there.
    """
    names = [spec.column_A, spec.column_B] if isinstance(spec, PairSpec) else spec.column_list
    return [table.column(name) for name in names]


def counted(spec: PairSpec | ManySpec, columns: Sequence[Column]) -> str | None:
    """Return a condition that is true for rows that count; None when all do."""
    if spec.ignore_row_if in _ALL:
        return "(" + " OR ".join(f"{cell(column)} IS NOT NULL" for column in columns) + ")"
    if spec.ignore_row_if in _ANY:
        return "(" + " AND ".join(f"{cell(column)} IS NOT NULL" for column in columns) + ")"
    return None


def shown(columns: Sequence[Column]) -> Mapping[str, str]:
    """Return what a sample shows of a row."""
    return {column.name: plain(cell(column), column) for column in columns}


def each_row(spec: PairSpec | ManySpec, table: Table, *, fails: str) -> Check:
    """Return the check of something that holds for each row that counts, or not.

    Args:
        spec: names the columns and the rows that count.
        table: of the rows.
        fails: a condition that is true for a row that is not as expected, and never null.
    """
    rows, columns = Rows(table, spec), columns_of(spec, table)
    there = counted(spec, columns)
    wrong = f"{there} AND ({fails})" if there else fails
    scan = {
        "all": rows.aggregate("count(*)"),
        "present": rows.aggregate("count(*)", there),
        "unexpected": rows.aggregate("count(*)", wrong),
    }
    return Check(judge_each(spec.mostly), scan=scan, failing=Failing(rows.source(wrong), shown(columns)))


def alike(one: Column, other: Column) -> bool:
    """Return whether values of two columns can be equal at all."""
    numbers = {"int", "long", "float", "double", "decimal", "boolean"}
    times = {"date", "timestamp"}
    mine, theirs = kind(one), kind(other)
    return mine == theirs or {mine, theirs} <= numbers or {mine, theirs} <= times
