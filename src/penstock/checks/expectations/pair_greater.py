"""Whether column A is greater than column B in each row; with `or_equal: true`, at least as great.

Rows where both are missing do not count, unless told; where one is, that is unexpected.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from penstock.checks.check import Check, ExpectationType
from penstock.checks.several import alike, columns_of, each_row
from penstock.checks.specs import PairSpec
from penstock.checks.tables import Impossible, Table, cell


class GreaterSpec(PairSpec):
    """Arguments of `expect_column_pair_values_a_to_be_greater_than_b`."""

    or_equal: bool | None = Field(None, description="equal values are as expected")


def greater(spec: GreaterSpec, table: Table) -> Check:
    """Return the check of one column that is greater than another."""
    one, other = columns_of(spec, table)
    if not alike(one, other):
        raise Impossible(f"columns {one.name!r} and {other.name!r} cannot be compared")
    right = f"{cell(one)} {'>=' if spec.or_equal else '>'} {cell(other)}"
    return each_row(spec, table, fails=f"NOT coalesce({right}, false)")


EXPECTATIONS: Final = {"expect_column_pair_values_a_to_be_greater_than_b": ExpectationType(GreaterSpec, greater)}
