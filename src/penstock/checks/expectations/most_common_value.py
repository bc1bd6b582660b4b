"""Whether the most common value of a column is one of a set. Missing values do not count.

When several values are the most common, that is a failure, unless `ties_okay` is true and one of them is in the set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from penstock.checks.check import Answers, Check, ExpectationType, Finding, Rows
from penstock.checks.specs import ColumnSpec, Values
from penstock.checks.tables import Table, cell, comparable


class MostCommonSpec(ColumnSpec):
    """Arguments of `expect_column_most_common_value_to_be_in_set`."""

    value_set: Values = Field(description="the values that may be the most common")
    ties_okay: bool | None = Field(None, description="several may share the first place")


def most_common(spec: MostCommonSpec, table: Table) -> Check:
    """Return the check of the most common value; its values are grouped, so it is asked later."""
    rows, column = Rows(table, spec), table.column(spec.column)
    value, members = cell(column), comparable(spec.value_set, column)
    counts = f"SELECT {value} AS v, count(*) AS n FROM {rows.source(f'{value} IS NOT NULL')} GROUP BY ALL"
    first = f"SELECT v FROM ({counts}) QUALIFY n = max(n) OVER ()"
    inside = f"v IN ({', '.join(members)})" if members else "false"

    def later(_: Answers) -> Mapping[str, str]:
        return {"first": f"SELECT [count(*), count(*) FILTER (WHERE {inside})] FROM ({first})"}

    def judge(answers: Answers) -> Finding:
        ties, found = answers["first"]
        success = found > 0 if spec.ties_okay else ties == 1 and found == 1
        return Finding(success, {"observed_value": None, "details": {"ties": ties, "ties_in_set": found}})

    return Check(judge, later=later)


EXPECTATIONS: Final = {"expect_column_most_common_value_to_be_in_set": ExpectationType(MostCommonSpec, most_common)}
