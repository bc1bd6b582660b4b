"""Whether values match patterns of SQL's LIKE, in which `%` stands for any text and `_` for one character.

A character given as `escape` makes the one after it stand for itself. Missing values do not count. Great Expectations
does this in databases only, and not on pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from penstock.checks.check import Check, ExpectationType, Rows, each
from penstock.checks.specs import EachSpec
from penstock.checks.tables import Table, as_text, cell, plain
from penstock.core.duckdb_sql import text

LikePattern = Annotated[str, Field(max_length=1_000)]
LikePatterns = Annotated[list[LikePattern], Field(min_length=1, max_length=100)]


class LikeSpec(EachSpec):
    """Arguments of `expect_column_values_to_match_like_pattern` and its opposite."""

    like_pattern: LikePattern = Field(description="the pattern")
    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(None, description="one character")


class NotLikeListSpec(EachSpec):
    """Arguments of `expect_column_values_to_not_match_like_pattern_list`."""

    like_pattern_list: LikePatterns = Field(description="the patterns")
    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(None, description="one character")


class LikeListSpec(NotLikeListSpec):
    """Arguments of `expect_column_values_to_match_like_pattern_list`."""

    match_on: Literal["any", "all"] | None = Field("any", description="whether one of them is enough")


def like(spec: LikeSpec, table: Table) -> Check:
    """Return the check of values that match."""
    return _check(spec, table, [spec.like_pattern], wanted=True)


def not_like(spec: LikeSpec, table: Table) -> Check:
    """Return the check of values that do not match."""
    return _check(spec, table, [spec.like_pattern], wanted=False)


def like_list(spec: LikeListSpec, table: Table) -> Check:
    """Return the check of values that match one of several patterns, or all."""
    return _check(spec, table, spec.like_pattern_list, wanted=True, word="AND" if spec.match_on == "all" else "OR")


def not_like_list(spec: NotLikeListSpec, table: Table) -> Check:
    """Return the check of values that match none of several patterns."""
    return _check(spec, table, spec.like_pattern_list, wanted=False)


def _check(
    spec: LikeSpec | NotLikeListSpec, table: Table, patterns: Sequence[str], *, wanted: bool, word: str = "OR"
) -> Check:
    column = table.column(spec.column)
    value, shown = as_text(column), {spec.column: plain(cell(column), column)}
    escape = f" ESCAPE {text(spec.escape)}" if spec.escape else ""
    found = f" {word} ".join(f"{value} LIKE {text(pattern)}{escape}" for pattern in patterns)
    fails = f"NOT ({found})" if wanted else f"({found})"
    return each(Rows(table, spec), fails=fails, present=cell(column), mostly=spec.mostly, columns=shown)


EXPECTATIONS: Final = {
    "expect_column_values_to_match_like_pattern": ExpectationType(LikeSpec, like),
    "expect_column_values_to_not_match_like_pattern": ExpectationType(LikeSpec, not_like),
    "expect_column_values_to_match_like_pattern_list": ExpectationType(LikeListSpec, like_list),
    "expect_column_values_to_not_match_like_pattern_list": ExpectationType(NotLikeListSpec, not_like_list),
}
