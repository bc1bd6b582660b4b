"""Which columns a table has: how many, which names, in which order. Rows are not looked at.

`expect_column_to_exist` can also say at which place, counted from 0. `exact_match: false` allows others.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from penstock.checks.bounds import judge_between
from penstock.checks.check import Check, ExpectationType, Finding
from penstock.checks.specs import BoundsSpec, ColumnName, Count, Spec
from penstock.checks.tables import Table

Names = Annotated[list[ColumnName], Field(max_length=2_000)]


class CountBetweenSpec(BoundsSpec):
    """Arguments of `expect_table_column_count_to_be_between`."""

    min_value: Count | None = Field(None, description="the fewest columns; none when null")
    max_value: Count | None = Field(None, description="the most columns; none when null")


class CountSpec(Spec):
    """Arguments of `expect_table_column_count_to_equal`."""

    value: Count = Field(description="the number of columns")


class OrderedSpec(Spec):
    """Arguments of `expect_table_columns_to_match_ordered_list`."""

    column_list: Names = Field(description="the names of all columns, in order")


class SetSpec(Spec):
    """Arguments of `expect_table_columns_to_match_set`."""

    column_set: Names = Field(description="the names, in any order")
    exact_match: bool | None = Field(True, description="there is no other column")  # noqa: FBT003  # pydantic's form


class ExistsSpec(Spec):
    """Arguments of `expect_column_to_exist`."""

    column: ColumnName = Field(description="the column's name")
    column_index: Count | None = Field(None, description="its place, counted from 0; any when null")


def count_between(spec: CountBetweenSpec, table: Table) -> Check:
    """Return the check of a number of columns between bounds."""
    judge = judge_between(spec, "columns")
    return Check(lambda _: judge({"columns": len(table.columns)}))


def count(spec: CountSpec, table: Table) -> Check:
    """Return the check of an exact number of columns."""
    found = len(table.columns)
    return Check(lambda _: Finding(found == spec.value, {"observed_value": found}))


def ordered(spec: OrderedSpec, table: Table) -> Check:
    """Return the check of all columns and their order."""
    found = [column.name for column in table.columns]
    length = max(len(found), len(spec.column_list))
    wanted, there = _filled(spec.column_list, length), _filled(found, length)
    differences = [
        {"Expected Column Position": place, "Expected": one, "Found": other}
        for place, (one, other) in enumerate(zip(wanted, there, strict=True))
        if one != other
    ]
    details = {"details": {"mismatched": differences}} if differences else {}
    return Check(lambda _: Finding(not differences, {"observed_value": found, **details}))


def match_set(spec: SetSpec, table: Table) -> Check:
    """Return the check of the columns' names in any order."""
    found = [column.name for column in table.columns]
    missing = sorted(set(spec.column_set) - set(found))
    more = sorted(set(found) - set(spec.column_set))
    success = not missing and (spec.exact_match is False or not more)
    details = {"details": {"mismatched": {"unexpected": more, "missing": missing}}} if missing or more else {}
    return Check(lambda _: Finding(success, {"observed_value": sorted(found), **details}))


def exists(spec: ExistsSpec, table: Table) -> Check:
    """Return the check of one column's being there."""
    found = [column.name for column in table.columns]
    success = spec.column in found and spec.column_index in (None, found.index(spec.column))
    return Check(lambda _: Finding(success))


def _filled(names: list[str], length: int) -> list[str | None]:
    return [*names, *[None] * (length - len(names))]


EXPECTATIONS: Final = {
    "expect_table_column_count_to_be_between": ExpectationType(CountBetweenSpec, count_between),
    "expect_table_column_count_to_equal": ExpectationType(CountSpec, count),
    "expect_table_columns_to_match_ordered_list": ExpectationType(OrderedSpec, ordered),
    "expect_table_columns_to_match_set": ExpectationType(SetSpec, match_set),
    "expect_column_to_exist": ExpectationType(ExistsSpec, exists),
}
