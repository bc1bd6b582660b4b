"""How many rows a table has: between two bounds, exactly so many, or as many as another table.

With `row_condition`, only rows for which it is true are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from penstock.checks.bounds import judge_between
from penstock.checks.check import Answers, Check, ExpectationType, Finding, Rows
from penstock.checks.specs import BoundsSpec, Count, RowsSpec
from penstock.checks.tables import Impossible, Table


class BetweenSpec(RowsSpec, BoundsSpec):
    """Arguments of `expect_table_row_count_to_be_between`."""

    min_value: Count | None = Field(None, description="the fewest rows; none when null")
    max_value: Count | None = Field(None, description="the most rows; none when null")


class EqualSpec(RowsSpec):
    """Arguments of `expect_table_row_count_to_equal`."""

    value: Count = Field(description="the number of rows")


class OtherSpec(RowsSpec):
    """Arguments of `expect_table_row_count_to_equal_other_table`."""

    other_table_name: Annotated[str, Field(min_length=1)] = Field(description="the other table")


def between(spec: BetweenSpec, table: Table) -> Check:
    """Return the check of a number of rows between bounds."""
    return Check(judge_between(spec, "rows"), scan={"rows": Rows(table, spec).aggregate("count(*)")})


def equal(spec: EqualSpec, table: Table) -> Check:
    """Return the check of an exact number of rows."""

    def judge(answers: Answers) -> Finding:
        return Finding(answers["rows"] == spec.value, {"observed_value": answers["rows"]})

    return Check(judge, scan={"rows": Rows(table, spec).aggregate("count(*)")})


def other(spec: OtherSpec, table: Table) -> Check:
    """Return the check of as many rows as another table has."""
    relation = table.others.get(spec.other_table_name)
    if relation is None:
        raise Impossible(f"there is no table {spec.other_table_name!r}")

    def later(_: Answers) -> Mapping[str, str]:
        return {"other": f"SELECT count(*) FROM {relation}"}

    def judge(answers: Answers) -> Finding:
        rows = {"self": answers["rows"], "other": answers["other"]}
        return Finding(answers["rows"] == answers["other"], {"observed_value": rows})

    return Check(judge, scan={"rows": Rows(table, spec).aggregate("count(*)")}, later=later)


EXPECTATIONS: Final = {
    "expect_table_row_count_to_be_between": ExpectationType(BetweenSpec, between),
    "expect_table_row_count_to_equal": ExpectationType(EqualSpec, equal),
    "expect_table_row_count_to_equal_other_table": ExpectationType(OtherSpec, other),
}
