"""Reading suites: all that is wrong at once, each with its place."""

import json

import pytest

from penstock.checks.suites import read_suite
from penstock.core import limits
from tests.checking import problems_of, suite_of

GOOD = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a"}}


def told(*entries, **file):
    return [f"{problem.message} | {problem.hint}" for problem in problems_of(*entries, **file)]


def test_a_suite_is_read_with_its_expectations_in_order():
    suite = suite_of(("expect_column_to_exist", {"column": "a"}), ("expect_column_values_to_be_null", {"column": "b"}))
    assert suite.name == "suite"
    assert [one.type for one in suite.expectations] == ["expect_column_to_exist", "expect_column_values_to_be_null"]


def test_a_suite_of_great_expectations_before_1_0_is_read():
    old = {
        "expectation_suite_name": "old",
        "data_asset_type": None,
        "meta": {"great_expectations_version": "0.18.0"},
        "expectations": [{"expectation_type": GOOD["type"], "kwargs": {"column": "a"}, "meta": {"why": "because"}}],
    }
    suite, problems = read_suite("old.json", json.dumps(old).encode())
    assert suite is not None, problems
    assert suite.name == "old"
    assert suite.expectations[0].meta == {"why": "because"}


def test_severity_and_id_are_kept():
    entry = {**GOOD, "id": "abc", "severity": "warning"}
    suite, _ = read_suite("s.json", json.dumps({"name": "s", "expectations": [entry]}).encode())
    assert suite is not None
    assert (suite.expectations[0].id, suite.expectations[0].severity) == ("abc", "warning")


def test_an_unknown_type_comes_with_the_nearest_one():
    (problem,) = problems_of({"type": "expect_column_value_to_not_be_null", "kwargs": {}})
    assert str(problem.place) == "orders.json:5:12"
    assert problem.message == ("$.expectations[0].type: the type 'expect_column_value_to_not_be_null' is not known")
    assert problem.hint.startswith("Did you mean 'expect_column_values_to_not_be_null'?")
    assert problem.code == "suite_invalid"


def test_everything_that_is_wrong_is_told_at_once():
    problems = problems_of(
        {"type": "nope", "kwargs": {}},
        {"type": GOOD["type"], "kwargs": {"colum": "a", "mostly": 1.5}},
        {"kwargs": {}},
        "no mapping",
        expectatons=[],
    )
    assert len(problems) == 7
    assert all(problem.place.file == "orders.json" and problem.hint for problem in problems)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({}, "$.expectations[0].kwargs: 'column' is missing"),
        ({"column": "a", "mostley": 1}, "$.expectations[0].kwargs.mostley: 'mostley' is not known here"),
        (
            {"column": "a", "mostly": 1.01},
            "$.expectations[0].kwargs.mostly: 1.01 is more than 1.0 | Valid is 1.0 and less.",
        ),
        ({"column": "a", "mostly": "most"}, "$.expectations[0].kwargs.mostly: 'most' is not a number"),
        ({"column": ["a"]}, "$.expectations[0].kwargs.column: a list is not text"),
        ({"column": {"$PARAMETER": "c"}}, "$.expectations[0].kwargs.column: parameters of suites are not supported"),
        ({"column": "a", "row_condition": "f(b)"}, "$.expectations[0].kwargs.row_condition: 'f(b)'"),
        (
            {"column": "a", "condition_parser": "spark", "row_condition": "b > 1"},
            "$.expectations[0].kwargs.row_condition: 'b > 1': the parser 'spark' is not known",
        ),
    ],
)
def test_arguments_are_held_to_the_type(kwargs, words):
    (found,) = told({"type": GOOD["type"], "kwargs": kwargs})
    assert found.startswith(words)


def test_a_regular_expression_outside_of_re2_is_refused_with_its_place():
    (found,) = told({"type": "expect_column_values_to_match_regex", "kwargs": {"column": "a", "regex": "ab(?=c)"}})
    assert "kwargs.regex: 'ab(?=c)': character 3 of the pattern: a look-ahead" in found


def test_one_of_a_list_of_patterns_is_refused_at_its_own_place():
    kwargs = {"column": "a", "regex_list": ["x", r"(y)\1"]}
    (problem,) = problems_of({"type": "expect_column_values_to_match_regex_list", "kwargs": kwargs})
    assert problem.message.startswith("$.expectations[0].kwargs.regex_list[1]: ")
    assert "character 4 of the pattern: a back reference" in problem.message


def test_bounds_that_exclude_everything_are_refused():
    kwargs = {"column": "a", "min_value": 3, "max_value": 1}
    (found,) = told({"type": "expect_column_values_to_be_between", "kwargs": kwargs})
    assert "kwargs.max_value: 1: it is less than min_value, 3" in found


@pytest.mark.parametrize("content", [b"[]", b"3", b'"text"', b"null"])
def test_a_suite_is_a_mapping(content):
    suite, (problem,) = read_suite("s.json", content)
    assert suite is None
    assert "a suite is a mapping" in problem.message


def test_a_suite_without_expectations_is_told():
    _, problems = read_suite("s.json", b'{"name": "s"}')
    assert ["'expectations' is missing" in problem.message for problem in problems] == [True]


def test_a_suite_that_is_too_large_is_refused():
    _, (problem,) = read_suite("s.json", b" " * (limits.SUITE_BYTES.value * 2**20 + 1))
    assert "at most 1,048,576 are read" in problem.message


def test_too_many_expectations_are_refused():
    problems = problems_of(*[GOOD] * (limits.SUITE_EXPECTATIONS.value + 1))
    assert len(problems) == 1
    assert "a list has more than 1000 in it" in problems[0].message
