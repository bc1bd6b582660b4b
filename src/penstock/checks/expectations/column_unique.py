"""Whether values are unique, and how many different ones there are. Missing values do not count.

Every value that stands more than once is unexpected, at each of its places. The share of unique values is that of
different values among all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock.checks.bounds import judge_between
from penstock.checks.check import Answers, Check, ExpectationType, Failing, Finding, Rows, judge_each
from penstock.checks.specs import ColumnBoundsSpec, EachSpec
from penstock.checks.tables import Table, cell, plain


class UniqueSpec(EachSpec):
    """Arguments of `expect_column_values_to_be_unique`."""


class CountSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_unique_value_count_to_be_between`."""


class ProportionSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_proportion_of_unique_values_to_be_between`."""


def unique(spec: UniqueSpec, table: Table) -> Check:
    """Return the check of every value's standing once.

    Counting the different values is enough when there are as many as values; only otherwise they are grouped.
    """
    rows, column = Rows(table, spec), table.column(spec.column)
    value = cell(column)
    scan = {
        "all": rows.aggregate("count(*)"),
        "present": rows.aggregate(f"count({value})"),
        "different": rows.aggregate(f"count(DISTINCT {value})"),
    }
    grouped = rows.source(f"{value} IS NOT NULL") + " GROUP BY ALL HAVING count(*) > 1"

    def later(answers: Answers) -> Mapping[str, str]:
        if answers["different"] == answers["present"]:
            return {}
        counts = f"SELECT {value} AS v, count(*) AS n FROM {grouped}"
        return {"unexpected": f"SELECT coalesce(sum(n), 0) FROM ({counts})"}

    def judge(answers: Answers) -> Finding:
        return judge_each(spec.mostly)({"unexpected": 0, **answers})

    return Check(judge, scan=scan, later=later, failing=Failing(grouped, {spec.column: plain(value, column)}))


def count(spec: CountSpec, table: Table) -> Check:
    """Return the check of the number of different values."""
    different = Rows(table, spec).aggregate(f"count(DISTINCT {cell(table.column(spec.column))})")
    return Check(judge_between(spec, "different"), scan={"different": different})


def proportion(spec: ProportionSpec, table: Table) -> Check:
    """Return the check of the share of different values among all."""
    rows, value = Rows(table, spec), cell(table.column(spec.column))
    scan = {
        "present": rows.aggregate(f"count({value})"),
        "different": rows.aggregate(f"count(DISTINCT {value})"),
    }
    judge_share = judge_between(spec, "share")

    def judge(answers: Answers) -> Finding:
        return judge_share({"share": answers["different"] / answers["present"] if answers["present"] else 0})

    return Check(judge, scan=scan)


EXPECTATIONS: Final = {
    "expect_column_values_to_be_unique": ExpectationType(UniqueSpec, unique),
    "expect_column_unique_value_count_to_be_between": ExpectationType(CountSpec, count),
    "expect_column_proportion_of_unique_values_to_be_between": ExpectationType(ProportionSpec, proportion),
}
