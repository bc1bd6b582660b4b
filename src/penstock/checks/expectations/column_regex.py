r"""Whether values, written as text, match regular expressions or do not.

A pattern may match anywhere; `^` and `$` tie it to the ends. Patterns are Python's, without what needs more than one
look at each character: look-ahead, look-behind, back references, atomic groups and possessive repetitions are refused
when the suite is read. `\d`, `\w` and `\s` know Unicode. Missing values do not count.

A list is matched by `any` of its patterns, or `all` of them, as `match_on` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from penstock.checks.check import Check, ExpectationType, Rows, each
from penstock.checks.patterns import re2
from penstock.checks.specs import EachSpec, Pattern
from penstock.checks.tables import Table, as_text, cell, plain
from penstock.core.duckdb_sql import text

Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=100)]


class MatchSpec(EachSpec):
    """Arguments of `expect_column_values_to_match_regex`."""

    regex: Pattern = Field("(?s).*", description="the pattern")


class NotMatchSpec(EachSpec):
    """Arguments of `expect_column_values_to_not_match_regex`."""

    regex: Pattern = Field(description="the pattern")


class MatchListSpec(EachSpec):
    """Arguments of `expect_column_values_to_match_regex_list`."""

    regex_list: Patterns = Field(description="the patterns")
    match_on: Literal["any", "all"] | None = Field("any", description="whether one of them is enough")


class NotMatchListSpec(EachSpec):
    """Arguments of `expect_column_values_to_not_match_regex_list`."""

    regex_list: Patterns = Field(description="the patterns, none of which may match")


def match(spec: MatchSpec, table: Table) -> Check:
    """Return the check of values that match."""
    return _check(spec, table, [spec.regex], wanted=True)


def not_match(spec: NotMatchSpec, table: Table) -> Check:
    """Return the check of values that do not match."""
    return _check(spec, table, [spec.regex], wanted=False)


def match_list(spec: MatchListSpec, table: Table) -> Check:
    """Return the check of values that match one of several patterns, or all."""
    return _check(spec, table, spec.regex_list, wanted=True, word="AND" if spec.match_on == "all" else "OR")


def not_match_list(spec: NotMatchListSpec, table: Table) -> Check:
    """Return the check of values that match none of several patterns."""
    return _check(spec, table, spec.regex_list, wanted=False)


def _check(spec: EachSpec, table: Table, patterns: Sequence[str], *, wanted: bool, word: str = "OR") -> Check:
    column = table.column(spec.column)
    value, shown = as_text(column), {spec.column: plain(cell(column), column)}
    found = f" {word} ".join(f"regexp_matches({value}, {text(re2(pattern))})" for pattern in patterns)
    fails = f"NOT ({found})" if wanted else f"({found})"
    return each(Rows(table, spec), fails=fails, present=cell(column), mostly=spec.mostly, columns=shown)


EXPECTATIONS: Final = {
    "expect_column_values_to_match_regex": ExpectationType(MatchSpec, match),
    "expect_column_values_to_not_match_regex": ExpectationType(NotMatchSpec, not_match),
    "expect_column_values_to_match_regex_list": ExpectationType(MatchListSpec, match_list),
    "expect_column_values_to_not_match_regex_list": ExpectationType(NotMatchListSpec, not_match_list),
}
