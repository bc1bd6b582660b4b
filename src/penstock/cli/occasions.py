"""Options that say what a run is for: the date, parameters, which tasks."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable
from typing import Any, Final

import click

from penstock.core.errors import UsageError

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_WORDS: Final = {"true": True, "false": False, "null": None}

pipeline_argument = click.argument("pipeline", required=False)


class Day(click.ParamType[str]):
    """A date."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the date as it is written everywhere; `today` and `yesterday` mean one in the pipeline's own zone."""
        try:
            return value if value in ("today", "yesterday") else dt.date.fromisoformat(str(value)).isoformat()
        except ValueError:
            return self.fail(f"{value!r} is not a date; write it as 2026-01-31, today or yesterday.", param, ctx)


def occasion_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --select, --param and --again, and pass them as `asked`, as the API takes them; --date with `dated`."""

    @functools.wraps(function)
    def with_asked(*, select: tuple[str, ...], params: tuple[str, ...], again: bool, **rest: Any) -> Any:
        asked = {"select": list(select), "params": parse_params(params), "again": again}
        return function(asked=asked, **rest)

    options = [
        click.option(
            "--select", multiple=True, metavar="NAME+", help="Only this task; NAME+ with all after it, +NAME before it."
        ),
        click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Another value than the default."),
        click.option("--again", is_flag=True, help="Run tasks though they are up to date."),
    ]
    for option in reversed(options):
        with_asked = option(with_asked)
    return with_asked


def server_run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --no-wait and --idempotency-key; the key becomes part of `asked`, as the client takes it."""

    @functools.wraps(function)
    def with_key(
        *, asked: dict[str, Any], idempotency_key: str | None, no_wait: bool, server: bool, **rest: Any
    ) -> Any:
        if no_wait and not server:
            raise click.UsageError("--no-wait goes with --server: here, nobody else would carry it out.")
        if idempotency_key is not None and not server:
            raise click.UsageError("--idempotency-key goes with --server: here, what is up to date is not done again.")
        asked = asked if idempotency_key is None else asked | {"idempotency_key": idempotency_key}
        return function(asked=asked, no_wait=no_wait, server=server, **rest)

    words = "With --server: the same key and request begin one and the same, however often they are sent."
    with_key = click.option("--idempotency-key", metavar="KEY", help=words)(with_key)
    return click.option("--no-wait", is_flag=True, help="With --server: print the id, and do not wait for the end.")(
        with_key
    )


date_option = click.option(
    "--date",
    type=Day(),
    help="The logical date; also today or yesterday, in the schedule's zone. Left out: today, where a task asks.",
)


def parse_params(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return parameters by name: numbers, true, false and null are values; all else is text, and so is '"5"'."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--param {text!r} is not NAME=VALUE", hint="Give it as --param limit=10")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text
