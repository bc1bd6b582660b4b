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
Pairs = Annotated[list[Pair], Field(max_length=limits.SET_VALUES.value)]


class PairInSetSpec(PairSpec):
    """Arguments of `expect_column_pair_values_to_be_in_set`."""

    value_pairs_set: Pairs = Field(description="the pairs")


def in_set(spec: PairInSetSpec, table: Table) -> Check:
    """Return the check of pairs that are in a set."""
    columns = columns_of(spec, table)
    found = [" AND ".join(parts) for pair in spec.value_pairs_set if (parts := _equal(pair, columns))]
    return each_row(spec, table, fails=f"NOT ({' OR '.join(f'({one})' for one in found)})" if found else "true")


def _equal(pair: list[Any], columns: list[Column]) -> list[str]:
    parts = []
    for value, column in zip(pair, columns, strict=True):
        if value is None:
            parts.append(f"{cell(column)} IS NULL")
            continue
        try:
            parts.append(f"coalesce({cell(column)} = {literal(value, column)}, false)")
        except Impossible:
            return []  # never equal
    return parts


EXPECTATIONS: Final = {"expect_column_pair_values_to_be_in_set": ExpectationType(PairInSetSpec, in_set)}
