"""Whether values of a column of numbers are not further from its mean than so many standard deviations.

With `double_sided: true` a value may lie too far below as well. A column whose values are all equal, or which has fewer
than two, has no outliers. Missing values do not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from penstock.checks.check import Answers, Check, ExpectationType, Failing, Rows, judge_each
from penstock.checks.specs import EachSpec
from penstock.checks.tables import Table, number, number_literal


class ScoreSpec(EachSpec):
    """Arguments of `expect_column_value_z_scores_to_be_less_than`."""

    threshold: float = Field(description="how many standard deviations")
    double_sided: bool = Field(description="whether values below the mean are held to it too")


def scores(spec: ScoreSpec, table: Table) -> Check:
    """Return the check of distances from the mean, which must be known first."""
    rows, value = Rows(table, spec), number(table.column(spec.column))
    source = rows.source(f"{value} IS NOT NULL")
    figures = f"SELECT avg(CAST({value} AS DOUBLE)) AS m, nullif(stddev_samp(CAST({value} AS DOUBLE)), 0) AS s"
    score = "(v - (SELECT m FROM figures)) / (SELECT nullif(s, 'NaN') FROM figures)"
    score = f"abs({score})" if spec.double_sided else score
    limit = number_literal(abs(spec.threshold) if spec.double_sided else spec.threshold)
    failing = (
        f"(WITH figures AS ({figures} FROM {source}) SELECT v FROM (SELECT CAST({value} AS DOUBLE) AS v FROM {source})"
        f" WHERE nullif({score}, 'NaN') >= {limit})"
    )
    scan = {"all": rows.aggregate("count(*)"), "present": rows.aggregate(f"count({value})")}

    def later(_: Answers) -> Mapping[str, str]:
        return {"unexpected": f"SELECT count(*) FROM {failing}"}

    return Check(judge_each(spec.mostly), scan=scan, later=later, failing=Failing(failing, {spec.column: "v"}))


EXPECTATIONS: Final = {"expect_column_value_z_scores_to_be_less_than": ExpectationType(ScoreSpec, scores)}
