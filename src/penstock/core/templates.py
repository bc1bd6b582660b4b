"""`${...}` in what a task says: the run's date and id, its parameters, and what a `for_each` gives. Pure.

| text | stands for |
|---|---|
| `${date}` | the logical date, `2026-01-31`; `${date - 1}` is the day before, `${date + 7}` a week later |
| `${params.NAME}` | a parameter of the pipeline |
| `${item}`, `${item.NAME}` | what the task is done for; a part of it, where it has parts |
| `${run}` | the run's id |
| `$${` | `${` itself |

`${secret:NAME}` stays as it is: it means something in connections only.

In SQL a `'` of a value is doubled, so that between quotes a value stays a value: whoever may run a pipeline, or write a
row that a `for_each` reads, does not write its queries.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.core.errors import RequestInvalid

_TEMPLATE: Final = re.compile(r"\$(?P<plain>\$\{)|\$\{(?P<name>[^}]*)(?P<end>\}?)")
_DATE: Final = re.compile(r"date\s*(?:(?P<sign>[+-])\s*(?P<days>\d{1,5}))?")
_SECRET: Final = "secret:"


@dataclass(frozen=True, slots=True)
class Meanings:
    """What names stand for.

    Attributes:
        date: `YYYY-MM-DD`; None for a run without one.
        item: text, a number, or a mapping whose parts are named; None without a `for_each`.
    """

    date: str | None = None
    run: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    item: Any = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name in a template that stands for nothing.

    Attributes:
        found: the template.
        valid: names that stand for something there.
    """

    found: str
    valid: tuple[str, ...]


def filled_spec(spec: Mapping[str, Any], meanings: Meanings) -> dict[str, Any]:
    """Return what a task says, filled; `sql`, and `query` of a source, are SQL.

    Raises:
        RequestInvalid: when a name stands for nothing, as `${date}` in a run without one.
    """
    done = {name: filled(value, meanings, sql=name == "sql") for name, value in spec.items()}
    source = spec.get("from")
    if isinstance(source, Mapping):
        done["from"] = {name: filled(value, meanings, sql=name == "query") for name, value in source.items()}
    return done


def filled(value: Any, meanings: Meanings, *, sql: bool = False) -> Any:
    """Return a text, or every text in lists and mappings, with what its templates stand for.

    Args:
        value: what a task says.
        meanings: of the names.
        sql: whether texts are SQL.

    Raises:
        RequestInvalid: when a name stands for nothing, as `${date}` in a run without one.
    """
    match value:
        case str():
            return _TEMPLATE.sub(lambda found: _meant(found, meanings, sql=sql), value) if "${" in value else value
        case Mapping():
            return {key: filled(one, meanings, sql=sql) for key, one in value.items()}
        case list() | tuple():
            return [filled(one, meanings, sql=sql) for one in value]
    return value


def unknown_names(text: str, *, params: Collection[str], item: bool, parts: Collection[str] = ()) -> Iterator[Unknown]:
    """Yield the templates of a text whose names stand for nothing.

    Args:
        text: what a task says.
        params: of the pipeline.
        item: whether the task is done for several things.
        parts: of each of those, where they are known.
    """
    valid = ("date", "run", *(f"params.{name}" for name in sorted(params)), *(("item",) if item else ()))
    for found in _TEMPLATE.finditer(text):
        name = (found["name"] or "").strip()
        if found["plain"] or name.startswith(_SECRET):
            continue
        head, _, part = name.partition(".")
        is_part = item and head == "item" and part != "" and (not parts or part in parts)
        if not found["end"] or not (name in valid or is_part or _DATE.fullmatch(name)):
            yield Unknown(found[0], (*valid, *(f"item.{one}" for one in sorted(parts))))


def names_in(text: str) -> frozenset[str]:
    """Return the names that templates of a text have, such as `date`, `params.region`."""
    names = {found["name"].strip() for found in _TEMPLATE.finditer(text) if not found["plain"]}
    return frozenset("date" if _DATE.fullmatch(name) else name for name in names)


def _meant(found: re.Match[str], meanings: Meanings, *, sql: bool) -> str:
    if found["plain"]:
        return "${"
    name = found["name"].strip()
    if name.startswith(_SECRET):
        return found[0]
    if found["end"] and (date := _DATE.fullmatch(name)):
        return _date(date, meanings.date)
    value = _value(name, meanings) if found["end"] else None
    if value is None or isinstance(value, Mapping | list):
        raise RequestInvalid(
            f"{found[0][:200]} stands for {'nothing' if value is None else 'several values'} here",
            hint="Valid: ${date}, ${run}, ${params.NAME}; with for_each ${item}, or ${item.NAME} where it has parts.",
        )
    said = str(value).lower() if isinstance(value, bool) else str(value)
    return said.replace("'", "''") if sql else said


def _value(name: str, meanings: Meanings) -> Any:
    head, _, part = name.partition(".")
    match head, part:
        case "run", "":
            return meanings.run
        case "item", "":
            return meanings.item
        case "item", _:
            return meanings.item.get(part, None) if isinstance(meanings.item, Mapping) else None
        case "params", _:
            value = meanings.params.get(part)
            return "" if value is None and part in meanings.params else value
    return None


def _date(found: re.Match[str], date: str | None) -> str:
    if date is None:
        raise RequestInvalid("the run has no date, and the task asks for one", hint="Run it with --date YYYY-MM-DD.")
    days = int(found["days"] or 0) * (-1 if found["sign"] == "-" else 1)
    return (dt.date.fromisoformat(date) + dt.timedelta(days)).isoformat()
