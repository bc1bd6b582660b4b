"""Whether texts are dates or times: in one format, or in any that people usually write.

`expect_column_values_to_match_strftime_format` takes the directives of Python's `strptime`: `%Y %y %m %d %j %H %I %M %S
%f %p %b %B %a %A %z %Z %%`; the date must exist. `expect_column_values_to_be_dateutil_parseable` takes ISO 8601, dates
with slashes, dots or month names, times, and both together. Only columns of text can be asked. Missing values do not
count.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from penstock.checks.check import Check, ExpectationType, Rows, each
from penstock.checks.date_formats import USUAL_DATE, existing, matching
from penstock.checks.specs import EachSpec
from penstock.checks.tables import Impossible, Table, cell, kind, plain
from penstock.core.columns import spelled
from penstock.core.duckdb_sql import text


def _format(value: str) -> str:
    matching(value)
    return value


class FormatSpec(EachSpec):
    """Arguments of `expect_column_values_to_match_strftime_format`."""

    strftime_format: Annotated[str, Field(max_length=100), AfterValidator(_format)] = Field(description="the format")


class DateSpec(EachSpec):
    """Arguments of `expect_column_values_to_be_dateutil_parseable`."""


def in_format(spec: FormatSpec, table: Table) -> Check:
    """Return the check of texts in a format."""
    value = cell(table.column(spec.column))
    fails = f"NOT regexp_matches({value}, {text(matching(spec.strftime_format))})"
    if exists := existing(value, spec.strftime_format):
        fails = f"{value} IS NOT NULL AND ({fails} OR NOT {exists})"
    return _check(spec, table, fails)


def parseable(spec: DateSpec, table: Table) -> Check:
    """Return the check of texts that are dates or times."""
    value = cell(table.column(spec.column))
    return _check(spec, table, f"NOT regexp_matches({value}, {text(USUAL_DATE)})")


def _check(spec: EachSpec, table: Table, fails: str) -> Check:
    column = table.column(spec.column)
    if kind(column) != "string":
        raise Impossible(f"column {spec.column!r} is {spelled(column.type)}; only texts have a format")
    shown = {spec.column: plain(cell(column), column)}
    return each(Rows(table, spec), fails=fails, present=cell(column), mostly=spec.mostly, columns=shown)


EXPECTATIONS: Final = {
    "expect_column_values_to_match_strftime_format": ExpectationType(FormatSpec, in_format),
    "expect_column_values_to_be_dateutil_parseable": ExpectationType(DateSpec, parseable),
}
