"""Whether values never fall, or never rise, from row to row, in the order in which the table is stored.

With `strictly: true` equal neighbours are unexpected too. Missing values are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from penstock.checks.check import Answers, Check, ExpectationType, Failing, Rows, judge_each
from penstock.checks.specs import EachSpec
from penstock.checks.tables import NUMBERS, TIMES, Impossible, Table, cell, kind, plain
from penstock.core.columns import spelled


class OrderSpec(EachSpec):
    """Arguments of `expect_column_values_to_be_increasing` and `expect_column_values_to_be_decreasing`."""

    strictly: bool | None = Field(None, description="equal neighbours are unexpected")


def increasing(spec: OrderSpec, table: Table) -> Check:
    """Return the check of values that never fall."""
    return _check(spec, table, "<=" if spec.strictly else "<")


def decreasing(spec: OrderSpec, table: Table) -> Check:
    """Return the check of values that never rise."""
    return _check(spec, table, ">=" if spec.strictly else ">")


def _check(spec: OrderSpec, table: Table, wrong: str) -> Check:
    rows, column = Rows(table, spec), table.column(spec.column)
    if kind(column) not in NUMBERS | TIMES | {"boolean"}:
        raise Impossible(f"column {spec.column!r} is {spelled(column.type)}; this needs numbers, dates or times")
    value = cell(column)
    pairs = f"SELECT {value} AS v, lag({value}) OVER () AS before FROM {rows.source(f'{value} IS NOT NULL')}"
    source = f"({pairs}) WHERE v {wrong} before"
    scan = {"all": rows.aggregate("count(*)"), "present": rows.aggregate(f"count({value})")}

    def later(_: Answers) -> Mapping[str, str]:
        return {"unexpected": f"SELECT count(*) FROM {source}"}

    return Check(
        judge_each(spec.mostly), scan=scan, later=later, failing=Failing(source, {spec.column: plain("v", column)})
    )


EXPECTATIONS: Final = {
    "expect_column_values_to_be_increasing": ExpectationType(OrderSpec, increasing),
    "expect_column_values_to_be_decreasing": ExpectationType(OrderSpec, decreasing),
}
