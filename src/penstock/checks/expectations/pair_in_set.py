"""Whether the values of two columns are, in each row, one of the given pairs.

A null in a pair stands for a missing value.

{"column_A": "country", "column_B": "currency", "value_pairs_set": [["BR", "BRL"], ["PT", "EUR"]]}
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from penstock.checks.check import Check, ExpectationType
from penstock.checks.several import columns_of, each_row
from penstock.checks.specs import PairSpec, Scalar
from penstock.checks.tables import Impossible, Table, cell, literal
from penstock.core import limits
from penstock.core.columns import Column

Pair = Annotated[list[Scalar], Field(min_length=2, max_length=2)]
Pairs = Annotated[list[Pair], Field(max_length=limits.SET_PAIRS.value)]


class PairInSetSpec(PairSpec):
    """Arguments of `expect_column_pair_values_to_be_in_set`."""

    value_pairs_set: Pairs = Field(description="the pairs")


def in_set(spec: PairInSetSpec, table: Table) -> Check:
    """Return the check of pairs that are in a set."""
    columns = columns_of(spec, table)
    pairs = [pair for each in spec.value_pairs_set if (pair := _row(each, columns))]
    row = f"row({', '.join(cell(column) for column in columns)})"  # within a row, null equals null
    return each_row(spec, table, fails=f"NOT ({row} IN ({', '.join(pairs)}))" if pairs else "true")


def _row(pair: list[Any], columns: list[Column]) -> str | None:
    """Return a pair as a literal; None when no row can be equal to it."""
    values = []
    for value, column in zip(pair, columns, strict=True):
        try:
            values.append("NULL" if value is None else literal(value, column))
        except Impossible:
            return None
    return f"row({', '.join(values)})"


EXPECTATIONS: Final = {"expect_column_pair_values_to_be_in_set": ExpectationType(PairInSetSpec, in_set)}
