"""Whether values lie between two bounds, which belong to what is allowed unless `strict_min` or `strict_max` is true.

Works for numbers, text (by code points), dates and times; dates and times are written as text, as in `"2026-01-31"`.
One bound may be left out. Missing values do not count.
"""

from __future__ import annotations

from typing import Final

from penstock.checks.bounds import outside
from penstock.checks.check import Check, ExpectationType, Rows, each
from penstock.checks.specs import BoundsSpec, EachSpec
from penstock.checks.tables import Impossible, Table, cell, plain


class BetweenSpec(EachSpec, BoundsSpec):
    """Arguments of `expect_column_values_to_be_between`."""


def between(spec: BetweenSpec, table: Table) -> Check:
    """Return the check of values between bounds."""
    if spec.min_value is None and spec.max_value is None:
        raise Impossible("min_value and max_value are both null")
    column = table.column(spec.column)
    value = cell(column)
    fails = outside(value, spec, table, spec.column)
    shown = {spec.column: plain(value, column)}
    return each(Rows(table, spec), fails=fails, present=value, mostly=spec.mostly, columns=shown)


EXPECTATIONS: Final = {"expect_column_values_to_be_between": ExpectationType(BetweenSpec, between)}
