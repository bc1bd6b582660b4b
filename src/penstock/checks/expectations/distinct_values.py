"""The different values of a column, as a set: within another set, with all of it, or equal to it.

Missing values do not count. What is unexpected or missing is counted once for each different value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from penstock.checks.check import Answers, Check, ExpectationType, Failing, Finding, Rows
from penstock.checks.specs import ColumnSpec, Values
from penstock.checks.tables import Table, cell, comparable, plain


class InSpec(ColumnSpec):
    """Arguments of `expect_column_distinct_values_to_be_in_set`."""

    value_set: Annotated[Values, Field(min_length=1)] = Field(description="every value is one of these")


class ContainSpec(ColumnSpec):
    """Arguments of `expect_column_distinct_values_to_contain_set`."""

    value_set: Values = Field(description="every one of these is a value")


class EqualSpec(ColumnSpec):
    """Arguments of `expect_column_distinct_values_to_equal_set`."""

    value_set: Values = Field(description="these are the values, and there is no other")


def within(spec: InSpec, table: Table) -> Check:
    """Return the check of no value's being outside of a set."""
    return _check(spec, table, bounded=True, complete=False)


def contain(spec: ContainSpec, table: Table) -> Check:
    """Return the check of every member of a set being a value."""
    return _check(spec, table, bounded=False, complete=True)


def equal(spec: EqualSpec, table: Table) -> Check:
    """Return the check of the values' being those of a set."""
    return _check(spec, table, bounded=True, complete=True)


def _check(spec: InSpec | ContainSpec | EqualSpec, table: Table, *, bounded: bool, complete: bool) -> Check:
    rows, column = Rows(table, spec), table.column(spec.column)
    value, members = cell(column), sorted(set(comparable(spec.value_set, column)))
    never = len({one for one in spec.value_set if one is not None}) - len(members)
    inside = f"{value} IN ({', '.join(members)})" if members else "false"
    outside = f"{value} NOT IN ({', '.join(members)})" if members else f"{value} IS NOT NULL"
    scan = {}
    if complete:
        scan["found"] = rows.aggregate(f"count(DISTINCT {value})", inside)
    if bounded:
        scan["outside"] = rows.aggregate("count(*)", outside)

    def later(answers: Answers) -> Mapping[str, str]:
        if not answers.get("outside"):
            return {}
        return {"different": f"SELECT count(DISTINCT {value}) FROM {rows.source(outside)}"}

    def judge(answers: Answers) -> Finding:
        missing = len(members) + never - answers["found"] if complete else 0
        beyond = answers.get("different", 0)
        result: dict[str, Any] = {"observed_value": None}
        result |= {"missing_count": missing} if complete else {}
        result |= {"unexpected_count": beyond} if bounded else {}
        return Finding(not missing and not beyond, result)

    failing = Failing(rows.source(outside) + " GROUP BY ALL", {spec.column: plain(value, column)})
    return Check(judge, scan=scan, later=later, failing=failing if bounded else None)


EXPECTATIONS: Final = {
    "expect_column_distinct_values_to_be_in_set": ExpectationType(InSpec, within),
    "expect_column_distinct_values_to_contain_set": ExpectationType(ContainSpec, contain),
    "expect_column_distinct_values_to_equal_set": ExpectationType(EqualSpec, equal),
}
