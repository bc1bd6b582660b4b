"""Whether the mean, median, standard deviation (of a sample) or sum of a column of numbers lies between two bounds.

Missing values do not count. Without any, there is no mean, median or deviation, which is a failure; the sum is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from penstock.checks.bounds import judge_between
from penstock.checks.check import Check, ExpectationType, Rows
from penstock.checks.specs import ColumnBoundsSpec
from penstock.checks.tables import Table, kind, number


class MeanSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_mean_to_be_between`."""


class MedianSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_median_to_be_between`."""


class DeviationSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_stdev_to_be_between`."""


class SumSpec(ColumnBoundsSpec):
    """Arguments of `expect_column_sum_to_be_between`."""


def _figure(function: str) -> Callable[[Any, Table], Check]:
    def check(spec: ColumnBoundsSpec, table: Table) -> Check:
        column = table.column(spec.column)
        value = number(column)
        if function in ("median", "stddev_samp") and kind(column) == "decimal":
            value = f"CAST({value} AS DOUBLE)"
        expression = Rows(table, spec).aggregate(f"{function}({value})")
        scan = {"figure": f"coalesce({expression}, 0)" if function == "sum" else expression}
        judge = judge_between(spec, "figure")
        if function != "median":
            return Check(judge, scan=scan)
        return Check(lambda answers: replace(judge(answers), shows=spec.column), scan=scan)  # it may be a row's value

    return check


EXPECTATIONS: Final = {
    "expect_column_mean_to_be_between": ExpectationType(MeanSpec, _figure("avg")),
    "expect_column_median_to_be_between": ExpectationType(MedianSpec, _figure("median")),
    "expect_column_stdev_to_be_between": ExpectationType(DeviationSpec, _figure("stddev_samp")),
    "expect_column_sum_to_be_between": ExpectationType(SumSpec, _figure("sum")),
}
