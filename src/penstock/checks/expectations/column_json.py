"""Whether values are texts that are valid JSON. A column that is not text holds none. Missing values do not count."""

from __future__ import annotations

from typing import Final

from penstock.checks.check import Check, ExpectationType, Rows, each
from penstock.checks.specs import EachSpec
from penstock.checks.tables import Table, cell, kind, plain
from penstock.core.duckdb_sql import text

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_TRAILING_COMMA: Final = r",\s*[\]}]"


class JsonSpec(EachSpec):
    """Arguments of `expect_column_values_to_be_json_parseable`."""


def json_parseable(spec: JsonSpec, table: Table) -> Check:
    """Return the check of values that are JSON."""
    column = table.column(spec.column)
    value, shown = cell(column), {spec.column: plain(cell(column), column)}
    fails = f"{value} IS NOT NULL"
    if kind(column) == "string":
        # DuckDB allows a comma before a closing bracket, which JSON does not; commas within strings are not meant
        bare = f"regexp_replace({value}, {text(_STRING)}, '0', 'g')"
        fails = f"NOT json_valid({value}) OR regexp_matches({bare}, {text(_TRAILING_COMMA)})"
    return each(Rows(table, spec), fails=fails, present=value, mostly=spec.mostly, columns=shown)


EXPECTATIONS: Final = {"expect_column_values_to_be_json_parseable": ExpectationType(JsonSpec, json_parseable)}
