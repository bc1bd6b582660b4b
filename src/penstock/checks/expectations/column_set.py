"""Whether values are among those of a set, or are none of them.

A value of another type is never equal to one of the column: `"1"` is not 1. Dates and times are written as text, as in
`"2026-01-31"`. Missing values do not count.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from penstock.checks.check import Check, ExpectationType, Rows, each
from penstock.checks.specs import EachSpec, Values
from penstock.checks.tables import Table, cell, comparable, plain


class InSpec(EachSpec):
    """Arguments of `expect_column_values_to_be_in_set`."""

    value_set: Values = Field(description="the values")


class NotInSpec(EachSpec):
    """Arguments of `expect_column_values_to_not_be_in_set`."""

    value_set: Values = Field(description="the values")


def inside(spec: InSpec, table: Table) -> Check:
    """Return the check of values' being in a set."""
    return _check(spec, table, inside=True)


def outside(spec: NotInSpec, table: Table) -> Check:
    """Return the check of values' being none of a set."""
    return _check(spec, table, inside=False)


def _check(spec: InSpec | NotInSpec, table: Table, *, inside: bool) -> Check:
    column = table.column(spec.column)
    value, members = cell(column), comparable(spec.value_set, column)
    if members:
        fails = f"{value} {'NOT IN' if inside else 'IN'} ({', '.join(members)})"
    else:
        fails = f"{value} IS NOT NULL" if inside else "false"
    shown = {spec.column: plain(value, column)}
    return each(Rows(table, spec), fails=fails, present=value, mostly=spec.mostly, columns=shown)


EXPECTATIONS: Final = {
    "expect_column_values_to_be_in_set": ExpectationType(InSpec, inside),
    "expect_column_values_to_not_be_in_set": ExpectationType(NotInSpec, outside),
}
