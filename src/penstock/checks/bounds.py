"""Two bounds around one figure, as several expectations have them."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from penstock.checks.check import Answers, Finding
from penstock.checks.specs import BoundsSpec
from penstock.checks.tables import Impossible, Table, literal


def judge_between(spec: BoundsSpec, name: str) -> Callable[[Answers], Finding]:
    """Return the judgement over one answer that is a number; a figure that is missing is never within.

    Raises:
        Impossible: when a bound is no number.
    """
    for bound in (spec.min_value, spec.max_value):
        if isinstance(bound, str):
            raise Impossible(f"the bound {bound!r} is text, and the figure is a number")

    def judge(answers: Answers) -> Finding:
        value = answers[name]
        if json_number(value) is None:
            return Finding(False, {"observed_value": None})  # noqa: FBT003  # a verdict
        return Finding(_above(value, spec) and _below(value, spec), {"observed_value": json_number(value)})

    return judge


def json_number(value: Any) -> Any:
    """Return a figure as JSON has it; None for what is missing or not a number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, Decimal) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        return float(value)
    return value


def outside(expression: str, spec: BoundsSpec, table: Table, column: str) -> str:
    """Return SQL that is true when a value of a column's type is outside of the bounds, and null when it is null.

    Raises:
        Impossible: when a bound cannot be compared with the column.
    """
    found = []
    if spec.min_value is not None:
        low = literal(spec.min_value, table.column(column))
        found.append(f"{expression} {'<=' if spec.strict_min else '<'} {low}")
    if spec.max_value is not None:
        high = literal(spec.max_value, table.column(column))
        found.append(f"{expression} {'>=' if spec.strict_max else '>'} {high}")
    return " OR ".join(found) or "false"


def _above(value: Any, spec: BoundsSpec) -> bool:
    low: Any = spec.min_value
    return low is None or bool(value > low if spec.strict_min else value >= low)


def _below(value: Any, spec: BoundsSpec) -> bool:
    high: Any = spec.max_value
    return high is None or bool(value < high if spec.strict_max else value <= high)
