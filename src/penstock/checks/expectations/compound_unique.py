"""Whether several columns together are unique: no two rows have the same values in all of them.

Every row whose values stand more than once is unexpected. Rows where all values are missing do not count, unless told;
a missing value equals another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock.checks.check import Answers, Check, ExpectationType, Failing, Finding, Rows, judge_each
from penstock.checks.several import columns_of, counted, shown
from penstock.checks.specs import ManySpec
from penstock.checks.tables import Table, cell


class CompoundSpec(ManySpec):
    """Arguments of `expect_compound_columns_to_be_unique`."""


def unique(spec: CompoundSpec, table: Table) -> Check:
    """Return the check of unique rows.

    As many different hashes as rows are proof enough and cheap; only otherwise the rows themselves are grouped.
    """
    rows, columns = Rows(table, spec), columns_of(spec, table)
    there, values = counted(spec, columns), ", ".join(cell(column) for column in columns)
    scan = {
        "all": rows.aggregate("count(*)"),
        "present": rows.aggregate("count(*)", there),
        "different": rows.aggregate(f"count(DISTINCT hash({values}))", there),
    }
    named = ", ".join(f"{cell(column)} AS c{place}" for place, column in enumerate(columns))
    grouped = f"{rows.source(there)} GROUP BY {values} HAVING count(*) > 1"

    def later(answers: Answers) -> Mapping[str, str]:
        if answers["different"] == answers["present"]:
            return {}
        return {"unexpected": f"SELECT coalesce(sum(n), 0) FROM (SELECT {named}, count(*) AS n FROM {grouped})"}

    def judge(answers: Answers) -> Finding:
        return judge_each(spec.mostly)({"unexpected": 0, **answers})

    return Check(judge, scan=scan, later=later, failing=Failing(grouped, shown(columns)))


EXPECTATIONS: Final = {
    "expect_compound_columns_to_be_unique": ExpectationType(CompoundSpec, unique),
    "expect_multicolumn_values_to_be_unique": ExpectationType(CompoundSpec, unique),
}
