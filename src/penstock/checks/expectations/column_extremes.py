"""Whether the smallest or the largest value of a column lies between two bounds.

Works for numbers, text (by code points), dates and times. A column without values has neither, and fails.
"""

from __future__ import annotations

from typing import Final

from penstock.checks.bounds import json_number, outside
from penstock.checks.check import Answers, Check, ExpectationType, Finding, Rows
from penstock.checks.specs import ColumnBoundsSpec
from penstock.checks.tables import Table, cell, plain


class MinSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_min_to_be_between`."""


class MaxSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_max_to_be_between`."""


def smallest(spec: MinSpec, table: Table) -> Check:
    """Return the check of the smallest value."""
    return _check(spec, table, "min")


def largest(spec: MaxSpec, table: Table) -> Check:
    """Return the check of the largest value."""
    return _check(spec, table, "max")


def _check(spec: ColumnBoundsSpec, table: Table, function: str) -> Check:
    column = table.column(spec.column)
    extreme = Rows(table, spec).aggregate(f"{function}({cell(column)})")
    scan = {"value": plain(extreme, column), "outside": f"({outside(extreme, spec, table, spec.column)})"}

    def judge(answers: Answers) -> Finding:
        value = answers["value"]
        observed = {"observed_value": json_number(value)}
        return Finding(value is not None and not answers["outside"], observed, shows=spec.column)

    return Check(judge, scan=scan)


EXPECTATIONS: Final = {
    "expect_column_min_to_be_between": ExpectationType(MinSpec, smallest),
    "expect_column_max_to_be_between": ExpectationType(MaxSpec, largest),
}
