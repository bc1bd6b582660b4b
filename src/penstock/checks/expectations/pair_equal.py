"""Whether two columns have the same value in each row. Rows where both are missing do not count, unless told."""

from __future__ import annotations

from typing import Final

from penstock.checks.check import Check, ExpectationType
from penstock.checks.several import alike, columns_of, each_row
from penstock.checks.specs import PairSpec
from penstock.checks.tables import Table, cell


class PairEqualSpec(PairSpec):
    """Arguments of `expect_column_pair_values_to_be_equal`."""


def equal(spec: PairEqualSpec, table: Table) -> Check:
    """Return the check of two columns that are equal; a missing value equals nothing."""
    one, other = columns_of(spec, table)
    fails = f"NOT coalesce({cell(one)} = {cell(other)}, false)" if alike(one, other) else "true"
    return each_row(spec, table, fails=fails)


EXPECTATIONS: Final = {"expect_column_pair_values_to_be_equal": ExpectationType(PairEqualSpec, equal)}
