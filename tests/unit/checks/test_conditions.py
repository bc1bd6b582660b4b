"""Row conditions: a safe subset, as pandas means it."""

import pyarrow as pa
import pytest

from penstock.checks.conditions import parse_condition
from tests.checking import verdict_on

ROWS = pa.table(
    {"n": [1, 2, None, 4], "m": [1.0, 3.0, 3.0, None], "s": ["a", "b", None, "d"], "odd name": [1, 1, 2, 2]}
)


def rows_of(condition, parser="pandas"):
    kwargs = {"value": 0, "row_condition": condition, "condition_parser": parser}
    found = verdict_on(ROWS, "expect_table_row_count_to_equal", **kwargs)
    assert not found.exception, found.exception
    return found.result["observed_value"]


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("n > 1", 2),
        ("1 < n", 2),
        ("n != 2", 3),
        ("not n > 1", 2),
        ("~(n > 1)", 2),
        ("n in [1, 4]", 2),
        ("n not in [1, 4]", 2),
        ("n == 1 | n == 2", 2),
        ("n > 1 & s == 'd'", 1),
        ("n == 1 or n == 2 and s == 'zzz'", 1),
        ("(n == 1 or n == 2) and s == 'zzz'", 0),
        ("1 <= n <= 2", 2),
        ("n == m", 1),
        ("n < m", 1),
        ("s == 'a'", 1),
        ('s == "a"', 1),
        ("n.isnull()", 1),
        ("s.notnull()", 3),
        ("`odd name` == 2", 2),
        ("n > -1.5", 3),
        ("s in ('a', 'b')", 2),
        ("s in []", 0),
        ('s == "it\'s"', 0),
        ("s == '&|~'", 0),
    ],
)
def test_a_condition_keeps_the_rows_that_pandas_keeps(condition, rows):
    assert rows_of(condition) == rows


@pytest.mark.parametrize(
    ("condition", "rows"), [('col("n") > 1', 2), ('col("odd name") == 2', 2), ('col("s").notNull()', 3)]
)
def test_conditions_of_great_expectations_are_read(condition, rows):
    assert rows_of(condition, "great_expectations") == rows


def test_conditions_that_great_expectations_writes_are_read():
    condition = {
        "type": "or",
        "conditions": [
            {"type": "comparison", "column": {"name": "n"}, "operator": "IN", "parameter": [1]},
            {"type": "nullity", "column": {"name": "s"}, "is_null": True},
        ],
    }
    assert rows_of(condition, None) == 2
    assert rows_of({"type": "pass_through", "pass_through_filter": "n > 1"}, None) == 2


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('id')",
        "n.map(print)",
        "@n > 1",
        "n + 1 > 2",
        "n",
        "n > ",
        "n > 1; n < 2",
        "lambda: n",
        "[x for x in n]",
        "n is None",
        "1 == 1",
        "n == None",
        "f'{n}' == 'a'",
        "n > 1 if s else n",
        "s == b'a'",
        "",
        "n in 3",
        "n == [1]",
        "(" * 300 + "n > 1" + ")" * 300,
    ],
)
def test_everything_else_is_refused(condition):
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        parse_condition(condition, "pandas")


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"type": "and", "conditions": []},
        {"type": "comparison", "column": {"name": "n"}, "operator": "LIKE", "parameter": "x"},
        {"type": "comparison", "column": {}, "operator": "==", "parameter": 1},
        {"type": "comparison", "column": {"name": "n"}, "operator": "==", "parameter": None},
        {"type": "comparison", "column": {"name": "n"}, "operator": "IN", "parameter": 5},
        {"type": "or", "conditions": [{"type": "nullity", "column": {"name": "n"}, "is_null": True}] * 101},
        [1],
        5,
    ],
)
def test_a_mapping_that_is_no_condition_is_refused(condition):
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        parse_condition(condition, None)


def test_a_condition_has_a_limit():
    with pytest.raises(ValueError, match="at most 2,000"):
        parse_condition("n > 1 and " * 300 + "n > 1", "pandas")


def test_a_column_that_is_not_there_is_a_verdict_of_its_own():
    kwargs = {"value": 0, "row_condition": "nope > 1", "condition_parser": "pandas"}
    assert "there is no column 'nope'" in verdict_on(ROWS, "expect_table_row_count_to_equal", **kwargs).exception


def test_text_in_a_condition_cannot_leave_its_quotes():
    assert rows_of('s == "\' OR 1=1 --"') == 0
