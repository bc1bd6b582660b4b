"""How many characters values have, written as text: between two bounds, or exactly so many.

Characters are Unicode's code points. Missing values do not count.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from penstock.checks.check import Check, ExpectationType, Rows, each
from penstock.checks.specs import BoundsSpec, Count, EachSpec
from penstock.checks.tables import Impossible, Table, as_text, cell, plain


class BetweenSpec(EachSpec, BoundsSpec):
    """Arguments of `expect_column_value_lengths_to_be_between`."""

    min_value: int | None = Field(None, description="the fewest characters; none when null")
    max_value: int | None = Field(None, description="the most characters; none when null")


class EqualSpec(EachSpec):
    """Arguments of `expect_column_value_lengths_to_equal`."""

    value: Count = Field(description="the number of characters")


def between(spec: BetweenSpec, table: Table) -> Check:
    """Return the check of lengths between bounds."""
    if spec.min_value is None and spec.max_value is None:
        raise Impossible("min_value and max_value are both null")
    length = f"length({as_text(table.column(spec.column))})"
    fails = []
    if spec.min_value is not None:
        fails.append(f"{length} {'<=' if spec.strict_min else '<'} {spec.min_value}")
    if spec.max_value is not None:
        fails.append(f"{length} {'>=' if spec.strict_max else '>'} {spec.max_value}")
    return _check(spec, table, " OR ".join(fails))


def equal(spec: EqualSpec, table: Table) -> Check:
    """Return the check of one length."""
    return _check(spec, table, f"length({as_text(table.column(spec.column))}) <> {spec.value}")


def _check(spec: EachSpec, table: Table, fails: str) -> Check:
    column = table.column(spec.column)
    shown = {spec.column: plain(cell(column), column)}
    return each(Rows(table, spec), fails=fails, present=cell(column), mostly=spec.mostly, columns=shown)


EXPECTATIONS: Final = {
    "expect_column_value_lengths_to_be_between": ExpectationType(BetweenSpec, between),
    "expect_column_value_lengths_to_equal": ExpectationType(EqualSpec, equal),
}
