"""Whether a column has a type, or one of several. Rows are not looked at.

Names are those of Penstock (`long`, `decimal`, `timestamptz`), of SQL (`BIGINT`, `VARCHAR(20)`) or of pandas and numpy
(`int64`, `object`, `datetime64[ns]`); capital letters and what stands in brackets do not matter.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from penstock.checks.check import Check, ExpectationType, Finding
from penstock.checks.specs import ColumnSpec, EachSpec
from penstock.checks.tables import Table, kind
from penstock.core.columns import spelled

# What each name stands for, of the types that columns can have.
_MEANINGS: Final = {
    "boolean": "boolean bool bool_ booleantype logical",
    "int": "int integer int32 int4 int32dtype integertype signed int_",
    "long": "int integer long int64 int8 bigint int64dtype longtype int_",
    "float": "float float32 float4 real floattype float32dtype",
    "double": "float double float64 float8 doubletype float64dtype double_precision float_",
    "decimal": "decimal numeric decimaltype object object_ number",
    "date": "date datetype object object_ datetime64 datetime64dtype",
    "time": "time object object_",
    "timestamp": "timestamp datetime datetime64 datetime64dtype timestampntztype timestamp_without_time_zone",
    "timestamptz": "timestamptz timestamp datetime timestamp_tz datetimetzdtype timestamptype timestamp_with_time_zone",
    "string": "string str varchar text char bpchar object object_ stringtype stringdtype nvarchar",
    "uuid": "uuid object object_",
    "binary": "binary bytes blob bytea varbinary object object_ binarytype",
    "fixed": "binary bytes blob bytea varbinary object object_ fixed",
    "struct": "struct dict object object_ structtype",
    "list": "list array object object_ arraytype",
    "map": "map dict object object_ maptype",
}
_NAMES: Final = {name for words in _MEANINGS.values() for name in words.split()}


def _plain(name: str) -> str:
    return name.partition("(")[0].partition("[")[0].partition("<")[0].strip().lower().replace(" ", "_")


def _known(name: str) -> str:
    if _plain(name) not in _NAMES:
        close = difflib.get_close_matches(_plain(name), sorted(_NAMES), n=1)
        raise ValueError(f"the type {name!r} is not known{f'; did you mean {close[0]!r}?' if close else ''}")
    return name


TypeName = Annotated[str, AfterValidator(_known)]


class OfTypeSpec(EachSpec):
    """Arguments of `expect_column_values_to_be_of_type`."""

    type_: TypeName | None = Field(description="the type; any when null")


class InTypeListSpec(EachSpec):
    """Arguments of `expect_column_values_to_be_in_type_list`."""

    type_list: Annotated[list[TypeName], Field(max_length=100)] | None = Field(description="the types; any when null")


class TypeSpec(ColumnSpec):
    """Arguments of `expect_column_type_to_be`."""

    type_: TypeName = Field(description="the type")


def of_type(spec: OfTypeSpec | TypeSpec, table: Table) -> Check:
    """Return the check of one type."""
    return _check(spec.column, table, None if spec.type_ is None else [spec.type_])


def in_type_list(spec: InTypeListSpec, table: Table) -> Check:
    """Return the check of one of several types."""
    return _check(spec.column, table, spec.type_list)


def _check(name: str, table: Table, types: Sequence[str] | None) -> Check:
    column = table.column(name)
    names = _MEANINGS.get(kind(column), "").split()
    accepted = types is None or any(_plain(wanted) in names for wanted in types)
    return Check(lambda _: Finding(accepted, {"observed_value": spelled(column.type)}))


EXPECTATIONS: Final = {
    "expect_column_values_to_be_of_type": ExpectationType(OfTypeSpec, of_type),
    "expect_column_values_to_be_in_type_list": ExpectationType(InTypeListSpec, in_type_list),
    "expect_column_type_to_be": ExpectationType(TypeSpec, of_type),
}
