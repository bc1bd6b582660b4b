"""What the arguments of expectations have in common: models of `kwargs`, each field with its description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from penstock.checks.conditions import parse_condition
from penstock.checks.patterns import re2
from penstock.core import limits

Scalar = bool | int | float | str | None
ColumnName = Annotated[str, Field(min_length=1)]
Mostly = Annotated[float, Field(ge=0, le=1, strict=True)]
Count = Annotated[int, Field(ge=0)]
Bound = bool | int | float | str | None
Values = Annotated[list[Scalar], Field(max_length=limits.SET_VALUES.value)]
PairRule = Literal["both_values_are_missing", "either_value_is_missing", "neither", "never"]
RowRule = Literal["all_values_are_missing", "any_value_is_missing", "never"]


def _pattern(value: str) -> str:
    re2(value)
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


class Spec(BaseModel):
    """Arguments of one expectation; what is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    batch_id: Any = Field(None, description="accepted and not used: a table is checked whole", exclude=True)
    result_format: Any = Field(None, description="accepted and not used", exclude=True)
    catch_exceptions: Any = Field(None, description="accepted and not used", exclude=True)


class RowsSpec(Spec):
    """An expectation about rows, which may be fewer than all."""

    condition_parser: str | None = Field(
        None, description="how a condition that is text is read: `pandas` or `great_expectations`"
    )
    row_condition: Any = Field(None, description="only rows for which this is true count; see row conditions")

    @field_validator("row_condition")
    @classmethod
    def _condition_is_one(cls, value: Any, info: ValidationInfo) -> Any:
        parse_condition(value, info.data.get("condition_parser"))
        return value


class ColumnSpec(RowsSpec):
    """An expectation about one column."""

    column: ColumnName = Field(description="the column's name")


class EachSpec(ColumnSpec):
    """An expectation about each value of a column."""

    mostly: Mostly = Field(1.0, description="the share of values for which it must hold, 0 to 1")


class BoundsSpec(Spec):
    """Two bounds, one of which may be left out."""

    min_value: Bound = Field(None, description="the lower bound; none when null")
    max_value: Bound = Field(None, description="the upper bound; none when null")
    strict_min: bool = Field(False, description="the lower bound itself is too low")  # noqa: FBT003  # pydantic's form
    strict_max: bool = Field(False, description="the upper bound itself is too high")  # noqa: FBT003  # pydantic's form

    @field_validator("max_value")
    @classmethod
    def _bounds_are_bounds(cls, high: Bound, info: ValidationInfo) -> Bound:
        low = info.data.get("min_value")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            raise ValueError(f"it is less than min_value, {low}")
        return high


class ColumnBoundsSpec(ColumnSpec, BoundsSpec):
    """A column's figure between two bounds."""


class PairSpec(RowsSpec):
    """An expectation about two columns of each row."""

    column_A: ColumnName = Field(description="the first column's name")  # noqa: N815  # as Great Expectations has it
    column_B: ColumnName = Field(description="the second column's name")  # noqa: N815  # as Great Expectations has it
    mostly: Mostly = Field(1.0, description="the share of rows for which it must hold, 0 to 1")
    ignore_row_if: PairRule = Field("both_values_are_missing", description="which rows do not count")


class ManySpec(RowsSpec):
    """An expectation about several columns of each row."""

    column_list: Annotated[list[ColumnName], Field(min_length=1, max_length=30)] = Field(
        description="the columns' names"
    )
    mostly: Mostly = Field(1.0, description="the share of rows for which it must hold, 0 to 1")
    ignore_row_if: RowRule = Field("all_values_are_missing", description="which rows do not count")
