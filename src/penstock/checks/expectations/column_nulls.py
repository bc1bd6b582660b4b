"""Whether values are missing: null, or NaN in a column of floating point.

`mostly` allows a share of exceptions: `{"column": "email", "mostly": 0.95}` holds when at most 5 % are missing.
"""

from __future__ import annotations

from typing import Final

from penstock.checks.bounds import judge_between
from penstock.checks.check import Answers, Check, ExpectationType, Finding, Rows, each
from penstock.checks.specs import ColumnBoundsSpec, EachSpec
from penstock.checks.tables import Table, cell, plain


class NullSpec(EachSpec):
    """Arguments of `expect_column_values_to_be_null`."""


class NotNullSpec(EachSpec):
    """Arguments of `expect_column_values_to_not_be_null`."""


class ProportionSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_proportion_of_non_null_values_to_be_between`."""


def null(spec: NullSpec, table: Table) -> Check:
    """Return the check of values' being missing."""
    column = table.column(spec.column)
    shown = {spec.column: plain(cell(column), column)}
    fails = f"{cell(column)} IS NOT NULL"
    return each(Rows(table, spec), fails=fails, present="*", mostly=spec.mostly, columns=shown)


def not_null(spec: NotNullSpec, table: Table) -> Check:
    """Return the check of values' being there."""
    rows, column = Rows(table, spec), table.column(spec.column)
    check = each(rows, fails="false", present="*", mostly=spec.mostly, columns={})
    scan = {"all": check.scan["all"], "values": rows.aggregate(f"count({cell(column)})")}

    def judge(answers: Answers) -> Finding:
        every = answers["all"]
        return check.judge({"all": every, "present": every, "unexpected": every - answers["values"]})

    return Check(judge, scan=scan)


def proportion(spec: ProportionSpec, table: Table) -> Check:
    """Return the check of the share of values that are there."""
    rows, column = Rows(table, spec), table.column(spec.column)
    scan = {"all": rows.aggregate("count(*)"), "values": rows.aggregate(f"count({cell(column)})")}
    judge_share = judge_between(spec, "share")

    def judge(answers: Answers) -> Finding:
        return judge_share({"share": answers["values"] / answers["all"] if answers["all"] else 0})

    return Check(judge, scan=scan)


EXPECTATIONS: Final = {
    "expect_column_values_to_be_null": ExpectationType(NullSpec, null),
    "expect_column_values_to_not_be_null": ExpectationType(NotNullSpec, not_null),
    "expect_column_proportion_of_non_null_values_to_be_between": ExpectationType(ProportionSpec, proportion),
}
