"""Whether a query of your own finds no rows. `{batch}` in it stands for the table.

    {"unexpected_rows_query": "SELECT * FROM {batch} WHERE paid_at < ordered_at"}

One SELECT of DuckDB's SQL; it sees the table and nothing else. It is run by itself: an error in it is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from penstock.checks.check import Answers, Check, ExpectationType, Failing, Finding
from penstock.checks.specs import Spec
from penstock.checks.tables import Table


def _query(value: str) -> str:
    if "{batch}" not in value:
        raise ValueError("the query does not name {batch}, which stands for the table")
    return value


class QuerySpec(Spec):
    """Arguments of `unexpected_rows_expectation`."""

    unexpected_rows_query: Annotated[str, Field(max_length=20_000), AfterValidator(_query)] = Field(
        description="a SELECT that returns the rows that should not be there"
    )


def unexpected_rows(spec: QuerySpec, table: Table) -> Check:
    """Return the check of a query without rows."""
    query = spec.unexpected_rows_query.strip().rstrip(";").replace("{batch}", f"(SELECT * FROM {table.relation})")
    source = f"(\n{query}\n)"  # lines of their own, for a comment at the end

    def later(_: Answers) -> Mapping[str, str]:
        return {"rows": f"SELECT count(*) FROM {source}"}

    def judge(answers: Answers) -> Finding:
        return Finding(answers["rows"] == 0, {"observed_value": answers["rows"]})

    return Check(judge, later=later, failing=Failing(source, {"*": "*"}), alone=True)


EXPECTATIONS: Final = {"unexpected_rows_expectation": ExpectationType(QuerySpec, unexpected_rows)}
