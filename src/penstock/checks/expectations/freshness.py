"""Whether the latest date or time of a column is recent: at most so long before the check.

    {"column": "updated_at", "within": "26h"}

Naive times and dates are taken for UTC; a date is as old as its midnight. A column without values fails. Great
Expectations has no such type.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from penstock.checks.check import Answers, Check, ExpectationType, Finding, Rows
from penstock.checks.specs import ColumnSpec
from penstock.checks.tables import TIMES, Impossible, Table, cell, kind, plain
from penstock.core.columns import spelled
from penstock.project.durations import parse_duration


def _duration(value: str | float) -> str | float:
    parse_duration(value)
    return value


class FreshSpec(ColumnSpec):
    """Arguments of `expect_column_max_to_be_fresh`."""

    within: Annotated[str | float, AfterValidator(_duration)] = Field(description="how old at most: 90s, 10m, 26h, 2d")


def fresh(spec: FreshSpec, table: Table) -> Check:
    """Return the check of a latest time that is recent."""
    rows, column = Rows(table, spec), table.column(spec.column)
    if kind(column) not in TIMES:
        raise Impossible(f"column {spec.column!r} is {spelled(column.type)}; this needs dates or times")
    latest, allowed_s = rows.aggregate(f"max({cell(column)})"), parse_duration(spec.within)
    finite = f"CASE WHEN isfinite({latest}) THEN epoch_us({latest}) END"

    def judge(answers: Answers) -> Finding:
        if answers["latest_us"] is None:
            return Finding(success=False, result={"observed_value": answers["latest"]}, shows=spec.column)
        age_s = table.now - answers["latest_us"] / 1e6
        observed = {"observed_value": answers["latest"], "details": {"age_s": age_s}}
        return Finding(age_s <= allowed_s, observed, shows=spec.column)

    return Check(judge, scan={"latest": plain(latest, column), "latest_us": finite})


EXPECTATIONS: Final = {"expect_column_max_to_be_fresh": ExpectationType(FreshSpec, fresh)}
