"""Whether the values of several columns are, in each row, all different, or all equal.

For `expect_select_column_values_to_be_unique_within_record` a missing value equals another missing one, and for
`expect_multicolumn_values_to_be_equal` too. Rows where all values are missing do not count, unless told.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

from penstock.checks.check import Check, ExpectationType
from penstock.checks.several import alike, columns_of, each_row
from penstock.checks.specs import ManySpec
from penstock.checks.tables import Table, cell, joined
from penstock.core.columns import Column


class DifferentSpec(ManySpec):
    """Arguments of `expect_select_column_values_to_be_unique_within_record`."""


class EqualSpec(ManySpec):
    """Arguments of `expect_multicolumn_values_to_be_equal`."""


def different(spec: DifferentSpec, table: Table) -> Check:
    """Return the check of values that are all different."""
    pairs = [_same(one, other) for one, other in combinations(columns_of(spec, table), 2)]
    return each_row(spec, table, fails=joined("OR", pairs) if pairs else "false")


def equal(spec: EqualSpec, table: Table) -> Check:
    """Return the check of values that are all equal."""
    first, *others = columns_of(spec, table)
    same = " AND ".join(_same(first, other) for other in others)
    return each_row(spec, table, fails=f"NOT ({same})" if same else "false")


def _same(one: Column, other: Column) -> str:
    if alike(one, other):
        return f"({cell(one)} IS NOT DISTINCT FROM {cell(other)})"
    return f"({cell(one)} IS NULL AND {cell(other)} IS NULL)"


EXPECTATIONS: Final = {
    "expect_select_column_values_to_be_unique_within_record": ExpectationType(DifferentSpec, different),
    "expect_multicolumn_values_to_be_equal": ExpectationType(EqualSpec, equal),
}
