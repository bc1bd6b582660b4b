"""The query that shows the rows which a check has found wrong."""

from __future__ import annotations

import pytest

from penstock.cli.check_queries import rows_query


@pytest.mark.parametrize(
    ("kind", "kwargs", "clause"),
    [
        ("to_not_be_null", {"column": 'a"b'}, ' WHERE "a""b" IS NULL'),
        ("to_be_unique", {"column": "id"}, ' QUALIFY count("id") OVER (PARTITION BY "id") > 1'),
        ("to_be_in_set", {"column": "c", "value_set": ["x'y", 1]}, """ WHERE "c" NOT IN ('x''y', 1)"""),
        ("to_be_between", {"column": "c", "min_value": 0, "max_value": 9.5}, ' WHERE "c" < 0 OR "c" > 9.5'),
        ("to_be_between", {"column": "c", "min_value": 0, "row_condition": "d > 1"}, ""),
        ("to_match_regex", {"column": "c", "regex": "a"}, ""),
    ],
)
def test_rows_are_picked_where_the_expectation_is_simple_and_all_of_them_elsewhere(kind, kwargs, clause):
    verdict = {"expectation_config": {"type": f"expect_column_values_{kind}", "kwargs": kwargs}}
    assert rows_query("marts.daily", [verdict]) == f"FROM marts.daily{clause}"


def test_what_could_not_be_judged_has_no_rows_to_show():
    lacking = {
        "expectation_config": {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "nope"}},
        "exception_info": {"raised_exception": True, "exception_message": "there is no column 'nope'"},
    }
    seen = {"expectation_config": {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}}}
    assert rows_query("marts.daily", [lacking]) is None
    assert rows_query("marts.daily", [lacking, seen]) == 'FROM marts.daily WHERE "id" IS NULL'
