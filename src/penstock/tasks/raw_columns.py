"""Which column each field of raw data lands in, and of which type: decided before the rows are written. Pure.

A table keeps its types. What does not fit its column is not lost: `evolve` gives it a column of text beside it,
`quarantine` sets its record aside, `freeze` fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from penstock.base.text import count
from penstock.core import limits
from penstock.core.columns import Column, ColumnType, spelled
from penstock.core.errors import SchemaRefused, TaskFailed
from penstock.core.raw import AUDIT

Policy = Literal["evolve", "freeze", "quarantine"]
How = Literal["as_is", "cast", "checked"]

TYPES: Final = re.compile(
    r"boolean|int|long|float|double|date|time|timestamp|timestamptz|string|decimal\(([1-9]|[12][0-9]|3[0-8]), ?[0-9]+\)"
)
GUESSES: Final = ("long", "double", "boolean", "date", "timestamp", "timestamptz")  # the first that fits all texts
TEXT_SUFFIX: Final = "__text"

_HOLDS: Final = {  # what a column of a type takes without a look at each value
    "boolean": {"boolean"},
    "long": {"long"},
    "double": {"long", "double"},
    "string": {"boolean", "long", "double", "text", "json"},
}


@dataclass(frozen=True, slots=True)
class LandingColumn:
    """One field and its column.

    Attributes:
        field: as the lines have it.
        name: of the column.
        type: of the column.
        how: `as_is`: the engine reads it as that type; `cast`: from text that is known to fit; `checked`: from text
            that may not.
        is_new: whether the table does not have it yet.
        beside: the column of text for what does not fit, when some does.
    """

    field: str
    name: str
    type: ColumnType
    how: How
    is_new: bool
    beside: str = ""


def decide(
    kinds: Mapping[str, frozenset[str]],
    known: Sequence[Column],
    *,
    wanted: Mapping[str, str],
    source: Mapping[str, str],
) -> tuple[LandingColumn, ...]:
    """Return the column of each field that has a value, or whose type somebody knows.

    Args:
        kinds: of values, by field.
        known: columns of the table.
        wanted: types that the task asks for, by field.
        source: types that the source knows, by field.

    Raises:
        TaskFailed: when two fields differ in nothing but case.
    """
    _require_distinct(kinds)
    table = {column.name.lower(): column for column in known if column.name not in AUDIT}
    given = {name.lower(): kind for name, kind in wanted.items()}
    found = []
    for field, held in kinds.items():
        mine = table.get(field.lower())
        if held or field.lower() in given or field in source:
            asked = given.get(field.lower())
            found.append(_column(field, held, mine, asked=asked, source=source.get(field)))
    return tuple(found)


def guessed(columns: Iterable[LandingColumn], fitting: Mapping[str, str]) -> tuple[LandingColumn, ...]:
    """Return the columns once new ones of text have got the types that all their texts fit."""
    return tuple(
        replace(column, type=fitting[column.field], how="cast") if column.field in fitting else column
        for column in columns
    )


def settle(
    columns: Iterable[LandingColumn],
    misfits: Mapping[str, int],
    policy: Policy,
    *,
    is_new: bool,
    first_in: Mapping[str, str] | None = None,
) -> tuple[LandingColumn, ...]:
    """Return the columns as they are written, when it is known how many values do not fit theirs.

    Args:
        columns: what `decide` gave.
        misfits: how many values of a field do not fit its column.
        policy: what happens then.
        is_new: whether there is no table yet: then all columns are welcome.
        first_in: the source in which each field was seen first, such as a file.

    Raises:
        SchemaRefused: when the policy is `freeze` and something differs.
    """
    columns = tuple(columns)
    if policy == "freeze":
        _require_frozen(columns, misfits, is_new=is_new, first_in=first_in or {})
    return tuple(
        replace(column, beside=f"{column.name}{TEXT_SUFFIX}")
        if misfits.get(column.field) and policy == "evolve"
        else replace(column, how="cast")
        if column.how == "checked" and not misfits.get(column.field)
        else column
        for column in columns
    )


def _column(
    field: str, held: frozenset[str], mine: Column | None, *, asked: str | None, source: str | None
) -> LandingColumn:
    if mine is not None:
        kind: ColumnType = "long" if mine.type == "int" and held == {"long"} else mine.type
        how: How = "cast" if source is not None and source == kind else _how(kind, held)
        return LandingColumn(field, mine.name, kind, how, is_new=False)
    if asked is not None:
        return LandingColumn(field, field, asked, _how(asked, held), is_new=True)
    if source is not None:
        return LandingColumn(field, field, source, "as_is" if _how(source, held) == "as_is" else "cast", is_new=True)
    return LandingColumn(field, field, _natural(held), "as_is", is_new=True)


def _how(kind: ColumnType, held: frozenset[str]) -> How:
    return "as_is" if isinstance(kind, str) and held <= _HOLDS.get(kind, set()) else "checked"


def _natural(held: frozenset[str]) -> str:
    """Return the type that holds values of these kinds; text holds all."""
    if held in ({"boolean"}, {"long"}):
        return next(iter(held))
    return "double" if held <= {"long", "double"} else "string"


def _require_distinct(kinds: Mapping[str, frozenset[str]]) -> None:
    seen: dict[str, str] = {}
    for field in kinds:
        other = seen.setdefault(field.lower(), field)
        if other != field:
            raise TaskFailed(
                f"some records have a field {other[:100]!r}, others {field[:100]!r}; many readers take both for one",
                hint="Ask the source for one spelling, or land the two in tables of their own.",
            )


def _require_frozen(
    columns: Sequence[LandingColumn], misfits: Mapping[str, int], *, is_new: bool, first_in: Mapping[str, str]
) -> None:
    problems = []
    for column in columns:
        if column.is_new and not is_new:
            where = f", first in {first_in[column.field]}" if column.field in first_in else ""
            problems.append((column.name, f"it is new, {spelled(column.type)}{where}"))
        elif misfits.get(column.field):
            number = count(misfits[column.field], "value")
            problems.append((column.name, f"the table has {spelled(column.type)}, and {number} do not fit"))
    if problems:
        words = "; ".join(f"{name!r}: {what}" for name, what in problems[: limits.SAMPLES.value])
        raise SchemaRefused(
            f"the columns are frozen: {words}",
            hint="Say schema: evolve to let columns arrive, or quarantine to set such records aside; or have the source"
            " corrected.",
            problems=[{"place": name, "message": what} for name, what in problems],
        )
