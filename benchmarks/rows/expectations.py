"""A suite of 20 expectations on 5 million rows in Parquet, from its JSON to its verdicts, in a connection of its own.

Beside it one SELECT by hand with the same measures in the same kind of connection, taken in turns, medians of five; and
the real Great Expectations on pandas in an environment of its own, once: loading and validating, without its import.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb

from benchmarks import environments
from benchmarks.figures import Figure, number
from benchmarks.timing import elapsed_s, median
from penstock.checks.compiling import compile_suite
from penstock.checks.engine import open_engine
from penstock.checks.results import SuiteResult
from penstock.checks.suites import read_suite
from penstock.checks.tables import Table
from penstock.checks.validating import validate
from penstock.core.columns import Column
from penstock.core.duckdb_sql import text

NUMBER: Final = 41
TITLE: Final = "20 expectations on 5 million rows"
_PEER: Final = Path(__file__).parents[1] / "peers" / "great_expectations_suite.py"
_PEER_S: Final = 600.0
_COUNTRIES: Final = ["BR", "PT", "FR", "US"]
_STATES: Final = ["new", "paid", "sent", "back"]
_COLUMNS: Final = {
    "id": "long",
    "amount": "double",
    "quantity": "long",
    "country": "string",
    "email": "string",
    "state": "string",
    "code": "string",
    "ordered": "timestamp",
    "shipped": "timestamp",
}
ROWS: Final = """
SELECT i AS id, CASE WHEN i % 97 = 0 THEN NULL ELSE round((hash(i) % 100000) / 100.0, 2)::DOUBLE END AS amount,
    (hash(i + 1) % 9 + 1)::BIGINT AS quantity,
    ['BR', 'PT', 'FR', 'US'][(hash(i + 2) % 4)::BIGINT + 1] AS country,
    'user' || (i % 1000000) || '@example.com' AS email,
    ['new', 'paid', 'sent', 'back'][(hash(i + 3) % 4)::BIGINT + 1] AS state,
    lpad((hash(i) % 1000000)::VARCHAR, 6, '0') AS code, TIMESTAMP '2026-01-01' + to_seconds(i % 31000000) AS ordered,
    TIMESTAMP '2026-01-01' + to_seconds(i % 31000000 + (hash(i) % 500000)::BIGINT) AS shipped
FROM range({rows}) AS t(i)
"""
_EXPECTATIONS: Final[Sequence[tuple[str, dict[str, Any]]]] = [
    ("expect_table_row_count_to_be_between", {"min_value": 1}),
    ("expect_table_columns_to_match_ordered_list", {"column_list": list(_COLUMNS)}),
    ("expect_column_values_to_not_be_null", {"column": "id"}),
    ("expect_column_values_to_be_unique", {"column": "id"}),
    ("expect_column_values_to_not_be_null", {"column": "amount", "mostly": 0.95}),
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "max_value": 1000}),
    ("expect_column_mean_to_be_between", {"column": "amount", "min_value": 400, "max_value": 600}),
    ("expect_column_stdev_to_be_between", {"column": "amount", "min_value": 200, "max_value": 400}),
    ("expect_column_median_to_be_between", {"column": "amount", "min_value": 400, "max_value": 600}),
    ("expect_column_max_to_be_between", {"column": "amount", "max_value": 1000}),
    ("expect_column_values_to_be_in_set", {"column": "country", "value_set": _COUNTRIES}),
    ("expect_column_unique_value_count_to_be_between", {"column": "country", "min_value": 4, "max_value": 4}),
    ("expect_column_distinct_values_to_equal_set", {"column": "state", "value_set": _STATES}),
    ("expect_column_values_to_match_regex", {"column": "email", "regex": "^[^@ ]+@[^@ ]+$"}),
    ("expect_column_values_to_not_match_regex", {"column": "email", "regex": "invalid$"}),
    ("expect_column_value_lengths_to_equal", {"column": "code", "value": 6}),
    ("expect_column_sum_to_be_between", {"column": "quantity", "min_value": 1}),
    ("expect_column_values_to_be_between", {"column": "quantity", "min_value": 1, "max_value": 9}),
    ("expect_column_min_to_be_between", {"column": "ordered", "min_value": "2026-01-01T00:00:00"}),
    (
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "shipped", "column_B": "ordered", "or_equal": True},
    ),
]
BY_HAND: Final = """
SELECT count(*), count(id), count(DISTINCT id), count(amount), count_if(amount < 0 OR amount > 1000), avg(amount),
    stddev_samp(amount), median(amount), max(amount), count_if(country NOT IN ('BR', 'PT', 'FR', 'US')),
    count(DISTINCT country), count_if(state NOT IN ('new', 'paid', 'sent', 'back')), count(DISTINCT state),
    count_if(NOT regexp_matches(email, '^[^@ ]+@[^@ ]+$')), count_if(regexp_matches(email, 'invalid$')),
    count_if(length(code) <> 6), sum(quantity), count_if(quantity < 1 OR quantity > 9), min(ordered),
    count_if(shipped < ordered)
FROM {relation}
"""


def measure(*, quick: bool) -> list[Figure]:
    """Return how long the suite takes, and how that stands beside others."""
    rows, rounds = (20_000, 1) if quick else (5_000_000, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, suite = folder / "orders.parquet", folder / "orders.json"
        duckdb.execute(f"COPY ({ROWS.format(rows=rows)}) TO {text(str(table))} (FORMAT parquet)")
        suite.write_text(json.dumps({"name": "orders", "expectations": entries()}))
        assert _checked(table, suite).success, "the suite fails"
        taken = [
            (elapsed_s(partial(_checked, table, suite)), elapsed_s(partial(_by_hand, table))) for _ in range(rounds)
        ]
        ours_s, hand_s = (median(column) for column in zip(*taken, strict=True))
        figures = [
            Figure("suite", ours_s, "s"),
            Figure("over one scan by hand", ours_s / hand_s, "x", f"{number(hand_s)} s", at_most=1.3),
        ]
        return [*figures, *([] if quick else _beside_great_expectations(table, suite, ours_s))]


def entries() -> list[dict[str, Any]]:
    """Return the expectations as a suite has them."""
    return [{"type": type_, "kwargs": kwargs} for type_, kwargs in _EXPECTATIONS]


def _relation(table: Path) -> str:
    return f"read_parquet({text(str(table))})"


def _checked(table: Path, path: Path) -> SuiteResult:
    suite, problems = read_suite(path.name, path.read_bytes())
    assert suite is not None, problems
    columns = tuple(Column(name, kind) for name, kind in _COLUMNS.items())
    compiled = compile_suite(suite, Table(_relation(table), columns))
    with open_engine(folders=[table.parent]) as execute:
        return validate(compiled, execute, mask=lambda _, value: value)


def _by_hand(table: Path) -> object:
    with open_engine(folders=[table.parent]) as execute:
        return execute(BY_HAND.format(relation=_relation(table)))


def _beside_great_expectations(table: Path, suite: Path, ours_s: float) -> list[Figure]:
    try:
        python = environments.python_of("great_expectations")
    except environments.PeerMissing as reason:
        return [Figure("faster than Great Expectations on pandas", 0, "x", str(reason))]
    command = [str(python), str(_PEER), str(table), str(suite)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PEER_S, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["failed"], found
    theirs_s = found["load_s"] + found["validate_s"]
    how = (
        f"{number(found['load_s'])} s to load, {number(found['validate_s'])} s; {number(found['import_s'])} s to import"
    )
    return [Figure("faster than Great Expectations on pandas", theirs_s / ours_s, "x", how, at_least=4)]
