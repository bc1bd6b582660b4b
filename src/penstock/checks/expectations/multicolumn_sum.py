"""Whether several columns of numbers add up to one total in each row. A row with a missing value does not."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from penstock.checks.check import Check, ExpectationType
from penstock.checks.several import columns_of, each_row
from penstock.checks.specs import ManySpec
from penstock.checks.tables import Table, kind, number, number_literal
from penstock.core.columns import Column


class SumSpec(ManySpec):
    """Arguments of `expect_multicolumn_sum_to_equal`."""

    sum_total: float | int = Field(description="the total")


def sums(spec: SumSpec, table: Table) -> Check:
    """Return the check of sums over columns."""
    columns = columns_of(spec, table)
    exact = not any(kind(column) in ("float", "double") for column in columns)
    total = " + ".join(_summand(column, exact=exact) for column in columns)
    fails = f"NOT coalesce({total} = {number_literal(spec.sum_total, exact=exact)}, false)"
    return each_row(spec, table, fails=fails)


def _summand(column: Column, *, exact: bool) -> str:
    value = number(column)
    if not exact:
        return f"CAST({value} AS DOUBLE)"
    return value if kind(column) == "decimal" else f"CAST({value} AS HUGEINT)"


EXPECTATIONS: Final = {"expect_multicolumn_sum_to_equal": ExpectationType(SumSpec, sums)}
