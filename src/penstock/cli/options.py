"""Options that several commands share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import click

from penstock.core import limits
from penstock.core.errors import RequestInvalid
from penstock.core.limits import Limit
from penstock.core.processing import ErrorBudget, parse_error_budget
from penstock.core.scripts import ScriptLimits, Tier
from penstock.usecases.scripts import load_script

script_argument = click.argument("script", type=click.Path())

_MIB = 2**20


def script_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a script is run, and pass it as one ScriptVersion."""

    @functools.wraps(function)
    def with_script(
        *,
        script: str,
        profile: Any,
        warm: bool,
        wall: float,
        cpu: int,
        memory: int,
        output_size: int,
        recursion: int,
        **rest: Any,
    ) -> Any:
        bounds = ScriptLimits(wall, cpu, memory * _MIB, output_size * _MIB, recursion)
        tier: Tier = "warm" if warm else "isolated"
        return function(script=load_script(script, profile=profile, tier=tier, limits_=bounds), **rest)

    options = [
        click.option(
            "--profile",
            type=click.Choice(["std", "arrow", "js"]),
            help="What the script may import.  [std; js for .js]",
        ),
        click.option(
            "--warm", is_flag=True, help="Use a process for many chunks: faster, but the script can keep state."
        ),
        _limit_option(limits.WALL, Seconds(0.1, 86_400), "Time that a chunk may take, waiting included."),
        _limit_option(limits.CPU, click.IntRange(1, 86_400), "CPU time that a chunk may take."),
        _limit_option(limits.MEMORY, click.IntRange(16, 1_048_576), "Memory that a chunk may take."),
        _limit_option(limits.OUTPUT, click.IntRange(1, 4096), "Output that a chunk may give."),
        _limit_option(limits.RECURSION, click.IntRange(100, 1_000_000), "Depth of calls."),
    ]
    for option in reversed(options):
        with_script = option(with_script)
    return with_script


def _limit_option(limit: Limit, kind: click.ParamType[Any], text: str) -> Callable[..., Any]:
    unit = {"s": "SECONDS"}.get(limit.unit, limit.unit)
    return click.option(str(limit.flag), type=kind, default=limit.value, show_default=True, metavar=unit, help=text)


class Seconds(click.FloatRange):
    """A number of seconds; `nan` lies in every range, and is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that a word stands for."""
        seconds = float(super().convert(value, param, ctx))
        return self.fail(f"{value!r} is not a number of seconds.", param, ctx) if math.isnan(seconds) else seconds


class ErrorBudgetType(click.ParamType[ErrorBudget]):
    """A number of records, or a share such as 10%."""

    name = "N|P%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ErrorBudget:
        """Return the budget that a word stands for."""
        if isinstance(value, ErrorBudget):
            return value
        try:
            return parse_error_budget(str(value))
        except RequestInvalid as error:
            return self.fail(error.message, param, ctx)
