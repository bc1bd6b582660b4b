"""Whether quantiles of a column of numbers lie within ranges.

    {"column": "amount", "quantile_ranges": {"quantiles": [0.5, 0.9], "value_ranges": [[10, 20], [40, null]]}}

A quantile is the value at the nearest place, unless `allow_relative_error` names another way: `linear`, `lower`,
`higher` or `midpoint`. A bound that is null is none, and a quantile within 0.01 % of a bound is within. Missing values
do not count; a column without values fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from penstock.checks.bounds import json_number
from penstock.checks.check import Answers, Check, ExpectationType, Finding, Rows
from penstock.checks.specs import ColumnSpec
from penstock.checks.tables import Table, number

_TOLERANCE: Final = 1e-4
Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[list[float | None], Field(min_length=2, max_length=2)]


class Ranges(BaseModel):
    """Quantiles, and a range for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantiles: Annotated[list[Share], Field(min_length=1, max_length=100)] = Field(description="shares, 0 to 1")
    value_ranges: Annotated[list[Range], Field(min_length=1, max_length=100)] = Field(
        description="[low, high] for each"
    )

    @model_validator(mode="after")
    def _they_fit(self) -> Ranges:
        if len(self.quantiles) != len(self.value_ranges):
            raise ValueError(f"there are {len(self.quantiles)} quantiles and {len(self.value_ranges)} ranges")
        return self


class QuantilesSpec(ColumnSpec):
    """Arguments of `expect_column_quantile_values_to_be_between`."""

    quantile_ranges: Ranges = Field(description="the quantiles, and the range of each")
    allow_relative_error: Literal[False, "nearest", "linear", "lower", "higher", "midpoint"] = Field(
        False,  # noqa: FBT003  # pydantic's form
        description="which value to take between two places",
    )


def quantiles(spec: QuantilesSpec, table: Table) -> Check:
    """Return the check of quantiles; their places depend on how many values there are, so they are asked later."""
    rows, value = Rows(table, spec), number(table.column(spec.column))
    shares, ranges = spec.quantile_ranges.quantiles, spec.quantile_ranges.value_ranges

    def later(answers: Answers) -> Mapping[str, str]:
        present = answers["present"]
        if not present:
            return {}
        places = sorted({place for share in shares for place in _places(share * (present - 1), spec)})
        # quantile_disc takes the value at ceil(share * n), counted from 1
        wanted = ", ".join(f"{place + 1 - 0.5:.1f} / {present}" for place in places)
        return {"values": f"SELECT quantile_disc({value}, [{wanted}]) FROM {rows.source(f'{value} IS NOT NULL')}"}

    def judge(answers: Answers) -> Finding:
        found: list[float | None] = [None] * len(shares)
        if present := answers["present"]:
            places = sorted({place for share in shares for place in _places(share * (present - 1), spec)})
            by_place = dict(zip(places, map(json_number, answers["values"]), strict=True))
            found = [_value(share * (present - 1), by_place, spec) for share in shares]
        within = [_within(value, range_) for value, range_ in zip(found, ranges, strict=True)]
        observed = {"quantiles": shares, "values": found}
        result = {"observed_value": observed, "details": {"success_details": within}}
        return Finding(all(within), result, shows=spec.column)

    return Check(judge, scan={"present": rows.aggregate(f"count({value})")}, later=later)


def _places(exact: float, spec: QuantilesSpec) -> set[int]:
    """Return the places, from 0, whose values a quantile is made of."""
    match spec.allow_relative_error:
        case "lower":
            return {math.floor(exact)}
        case "higher":
            return {math.ceil(exact)}
        case "linear" | "midpoint":
            return {math.floor(exact), math.ceil(exact)}
    return {round(exact)}  # as numpy has it, half goes to the even place


def _value(exact: float, by_place: Mapping[int, float | None], spec: QuantilesSpec) -> float | None:
    low, high = min(_places(exact, spec)), max(_places(exact, spec))
    one, other = by_place[low], by_place[high]
    if low == high or one is None or other is None:
        return one
    return (one + other) / 2 if spec.allow_relative_error == "midpoint" else one + (other - one) * (exact - low)


def _within(value: float | None, range_: list[float | None]) -> bool:
    if value is None:
        return False
    low = -math.inf if range_[0] is None else range_[0]
    high = math.inf if range_[1] is None else range_[1]
    near = any(abs(value - bound) <= 1e-8 + _TOLERANCE * abs(bound) for bound in range_ if bound is not None)
    return near or low <= value <= high


EXPECTATIONS: Final = {"expect_column_quantile_values_to_be_between": ExpectationType(QuantilesSpec, quantiles)}
