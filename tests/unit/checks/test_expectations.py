"""Types that Great Expectations has not on pandas; the others have their cases in tests/parity."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from tests.checking import problems_of, result_on, verdict_on

TEXTS = {"s": ["apple", "a%c", "Banana", None]}


@pytest.mark.parametrize(
    ("name", "kwargs", "unexpected"),
    [
        ("expect_column_values_to_match_like_pattern", {"like_pattern": "a%"}, 1),
        ("expect_column_values_to_match_like_pattern", {"like_pattern": "a!%_", "escape": "!"}, 2),
        ("expect_column_values_to_not_match_like_pattern", {"like_pattern": "%an%"}, 1),
        ("expect_column_values_to_match_like_pattern_list", {"like_pattern_list": ["a%", "B%"]}, 0),
        ("expect_column_values_to_match_like_pattern_list", {"like_pattern_list": ["a%", "%c"], "match_on": "all"}, 2),
        ("expect_column_values_to_not_match_like_pattern_list", {"like_pattern_list": ["a%", "B%"]}, 3),
    ],
)
def test_like(name, kwargs, unexpected):
    found = verdict_on(TEXTS, name, column="s", **kwargs)
    assert (found.exception, found.result["unexpected_count"]) == ("", unexpected)
    assert found.success == (unexpected == 0)


def fresh(values, kind, within):
    return verdict_on({"t": pa.array(values, kind)}, "expect_column_max_to_be_fresh", column="t", within=within)


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("us", tz="UTC")])
@pytest.mark.parametrize(("within", "success"), [("2h", True), ("1h", True), ("59m", False), (3_600, True)])
def test_freshness_is_the_age_of_the_latest_time(kind, within, success):
    """The clock says 2026-01-01T00:00:00Z."""
    found = fresh([1_767_222_000_000_000, 1_735_689_600_000_000, None], kind, within)
    assert (found.exception, found.success, found.result["details"]) == ("", success, {"age_s": 3_600.0})


def test_a_date_is_as_old_as_its_midnight():
    assert fresh([dt.date(2025, 12, 31)], pa.date32(), "1d").success
    assert not fresh([dt.date(2025, 12, 31)], pa.date32(), "23h").success


def test_a_column_without_times_is_not_fresh():
    assert not fresh([None], pa.timestamp("us"), "1d").success
    assert not fresh([], pa.timestamp("us"), "1d").success


def test_a_span_of_time_is_checked_when_the_suite_is_read():
    (problem,) = problems_of({"type": "expect_column_max_to_be_fresh", "kwargs": {"column": "t", "within": "soon"}})
    assert "'soon' is no span of time" in problem.message


def test_as_many_rows_as_another_table():
    kwargs = {"other_table_name": "other"}
    found = verdict_on({"n": [1, 2]}, "expect_table_row_count_to_equal_other_table", **kwargs)
    assert (found.success, found.result["observed_value"]) == (True, {"self": 2, "other": 2})
    assert not verdict_on({"n": [1]}, "expect_table_row_count_to_equal_other_table", **kwargs).success


@pytest.mark.parametrize(
    ("type_", "success"), [("int64", True), ("BIGINT", True), ("long", True), ("VARCHAR(20)", False)]
)
def test_the_type_of_a_column(type_, success):
    assert verdict_on({"n": [1]}, "expect_column_type_to_be", column="n", type_=type_).success == success


def test_a_type_that_is_none_comes_with_the_nearest_one():
    (problem,) = problems_of({"type": "expect_column_type_to_be", "kwargs": {"column": "n", "type_": "integre"}})
    assert "the type 'integre' is not known" in problem.message
    assert problem.hint.startswith("Did you mean 'integer'?")


def test_a_query_finds_the_rows_that_should_not_be_there():
    query = "SELECT id FROM {batch} WHERE id > 1; -- done"
    found = verdict_on({"id": [1, 2, 3]}, "unexpected_rows_expectation", unexpected_rows_query=query.rstrip("; -done"))
    assert (found.success, found.result, found.samples) == (False, {"observed_value": 2}, [{"id": 2}, {"id": 3}])


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM {batch} WHERE nope",
        "this is no SQL {batch}",
        "SELECT 1 FROM {batch}) AS t; DROP TABLE rows; SELECT (1",
        "SELECT * FROM {batch}, read_text('/etc/passwd')",
        "SELECT * FROM {batch}, read_csv('/etc/passwd')",
        "SELECT getenv('HOME') FROM {batch}",
        "SELECT * FROM {batch} WHERE CAST(s AS INTEGER) > 1",
    ],
)
def test_a_query_that_fails_is_alone_and_says_no_value(query):
    entry = ("unexpected_rows_expectation", {"unexpected_rows_query": query})
    other = ("expect_table_row_count_to_equal", {"value": 1})
    failed, met = result_on({"s": ["a secret"]}, entry, other).verdicts
    assert failed.exception
    assert "secret" not in failed.exception.replace(query, "")
    assert met.success


def test_a_query_names_the_table():
    kwargs = {"unexpected_rows_query": "SELECT 1"}
    (problem,) = problems_of({"type": "unexpected_rows_expectation", "kwargs": kwargs})
    assert "does not name {batch}" in problem.message


def test_sums_beyond_64_bits_are_judged_exactly():
    big = 2**63 - 1
    found = verdict_on({"n": [big, big]}, "expect_column_sum_to_be_between", column="n", min_value=2 * big)
    assert found.success
    assert found.result["observed_value"] == float(2 * big)


@pytest.mark.parametrize("kind", ["struct", "list", "map"])
def test_nested_columns_can_be_asked_for_nulls_and_uniqueness(kind):
    values = {
        "struct": pa.array([{"a": 1}, {"a": 1}, None]),
        "list": pa.array([[1], [1], None]),
        "map": pa.array([[("a", 1)], [("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    }[kind]
    rows = pa.table({"v": values})
    nulls, unique = result_on(
        rows,
        ("expect_column_values_to_not_be_null", {"column": "v"}),
        ("expect_column_values_to_be_unique", {"column": "v"}),
    ).verdicts
    assert (nulls.exception, nulls.result["unexpected_count"]) == ("", 1)
    assert (unique.exception, unique.result["unexpected_count"]) == ("", 2)


def test_decimals_are_compared_digit_by_digit():
    """0.1 is no binary fraction, and 0.10 is still 0.1."""
    rows = {"m": pa.array([Decimal("0.10"), Decimal("2.50"), None], pa.decimal128(6, 2))}
    assert verdict_on(rows, "expect_column_values_to_be_in_set", column="m", value_set=[0.1, 2.5]).success
    assert verdict_on(rows, "expect_column_values_to_be_between", column="m", min_value=0.1, max_value=2.5).success
    found = verdict_on(rows, "expect_column_values_to_be_between", column="m", min_value=0.1, strict_min=True)
    assert found.result["unexpected_count"] == 1


def test_sums_of_decimals_that_do_not_fit_are_a_verdict_and_no_crash():
    rows = {"m": pa.array([Decimal("9" * 36 + ".99")] * 2_000, pa.decimal128(38, 2))}
    sums = ("expect_column_sum_to_be_between", {"column": "m", "min_value": 1})
    failed, met = result_on(rows, sums, ("expect_table_row_count_to_equal", {"value": 2_000})).verdicts
    assert failed.exception or failed.success
    assert met.success


@pytest.mark.parametrize("count", [1, 8, 9, 1_000])
def test_many_pairs_are_one_comparison(count):
    pairs = [[n, str(n)] for n in range(count)]
    rows = {"a": [0, count, None], "s": ["0", "x", None]}
    kwargs = {"column_A": "a", "column_B": "s", "value_pairs_set": pairs}
    found = verdict_on(rows, "expect_column_pair_values_to_be_in_set", **kwargs)
    assert (found.exception, found.result["unexpected_count"]) == ("", 1)


def test_large_sets_are_no_trouble():
    values = [f"value {n}" for n in range(10_000)]
    assert verdict_on({"s": values}, "expect_column_values_to_be_in_set", column="s", value_set=values).success


def test_more_pairs_than_can_be_planned_are_refused():
    kwargs = {"column_A": "a", "column_B": "b", "value_pairs_set": [[n, n] for n in range(1_001)]}
    (problem,) = problems_of({"type": "expect_column_pair_values_to_be_in_set", "kwargs": kwargs})
    assert "a list has more than 1000 in it" in problem.message
