"""From a suite to its result: one statement, samples, masks, and failures that stay where they belong."""

import json
import subprocess
import sys

import pyarrow as pa
import pytest

from penstock.checks.compiling import compile_suite, later_of
from penstock.checks.engine import open_engine
from penstock.checks.tables import Table
from penstock.checks.validating import StatementFailed, validate
from tests.checking import columns_of, compiled_for, result_on, suite_of, verdict_on

ROWS = pa.table({"id": [1, 2, 3, 3], "s": ["a", "b", None, "secret"], "x": [1.0, 2.0, 3.0, 4.0]})
NOT_NULL = ("expect_column_values_to_not_be_null", {"column": "s"})
BETWEEN = ("expect_column_values_to_be_between", {"column": "x", "max_value": 10})


class Counting:
    """Runs statements and keeps them."""

    def __init__(self, execute, *, fails=lambda sql: False):
        self.statements, self._execute, self._fails = [], execute, fails

    def __call__(self, sql):
        self.statements.append(sql)
        if self._fails(sql):
            raise StatementFailed("on purpose")
        return self._execute(sql)


def statements_of(*expectations, fails=lambda sql: False):
    with open_engine(tables={"rows": ROWS}, threads=1) as execute:
        counting = Counting(execute, fails=fails)
        result = validate(compiled_for(ROWS, *expectations), counting, mask=lambda _, value: value)
    return counting.statements, result


def test_all_aggregates_are_one_statement():
    statements, result = statements_of(
        NOT_NULL,
        BETWEEN,
        ("expect_column_mean_to_be_between", {"column": "x", "min_value": 0}),
        ("expect_column_values_to_match_regex", {"column": "s", "regex": "^[a-z]+$"}),
        ("expect_table_row_count_to_equal", {"value": 4}),
    )
    assert len(statements) == 1
    assert [verdict.success for verdict in result.verdicts] == [False, True, True, True, True]


def test_an_aggregate_that_several_need_is_asked_once():
    compiled = compiled_for(ROWS, NOT_NULL, BETWEEN, ("expect_table_row_count_to_equal", {"value": 4}))
    assert compiled.scan is not None
    assert compiled.scan.sql.count("count(*) AS") == 1


def test_expectations_about_columns_ask_nothing():
    statements, result = statements_of(("expect_table_column_count_to_equal", {"value": 3}))
    assert statements == []
    assert result.success


def test_a_suite_without_expectations_is_met():
    statements, result = statements_of()
    assert (statements, result.success, result.as_json()["statistics"]["success_percent"]) == ([], True, None)


def test_unique_values_are_not_grouped():
    compiled = compiled_for(ROWS, ("expect_column_values_to_be_unique", {"column": "x"}))
    unique, repeated = {"all": 4, "present": 4, "different": 4}, {"all": 4, "present": 4, "different": 3}
    assert later_of(compiled, {0: unique}, [0]) is None
    statement = later_of(compiled, {0: repeated}, [0])
    assert statement is not None
    assert "GROUP BY" in statement.sql


def test_what_is_grouped_or_ordered_is_one_statement_too():
    statements, _ = statements_of(
        ("expect_column_values_to_be_unique", {"column": "id", "mostly": 0.1}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["id", "id"], "mostly": 0.1}),
        ("expect_column_values_to_be_increasing", {"column": "x"}),
        ("expect_column_most_common_value_to_be_in_set", {"column": "id", "value_set": [3]}),
        ("expect_column_value_z_scores_to_be_less_than", {"column": "x", "threshold": 3, "double_sided": True}),
    )
    assert len(statements) == 2


def test_what_failed_has_samples_and_what_did_not_has_none():
    failed, met = result_on(
        ROWS,
        ("expect_column_values_to_be_in_set", {"column": "s", "value_set": ["a"]}),
        ("expect_column_values_to_be_in_set", {"column": "s", "value_set": ["a"], "mostly": 0.3}),
    ).verdicts
    assert (failed.success, sorted(failed.samples)) == (False, ["b", "secret"])
    assert (met.success, met.result["unexpected_count"], met.samples) == (True, 2, [])


def test_samples_are_bounded():
    found = verdict_on({"n": list(range(1000))}, "expect_column_values_to_be_between", column="n", min_value=5000)
    assert (found.result["unexpected_count"], len(found.samples)) == (1000, 20)


def test_samples_go_through_the_mask_with_the_name_of_their_column():
    def mask(column, value):
        return f"<{column}>" if column in ("s", "x") else value

    one, several, largest, query, quantile, median = result_on(
        ROWS,
        ("expect_column_values_to_be_in_set", {"column": "s", "value_set": ["a"]}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["id"]}),
        ("expect_column_max_to_be_between", {"column": "s", "max_value": "b"}),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT s FROM {batch} WHERE s = 'secret'"}),
        (
            "expect_column_quantile_values_to_be_between",
            {"column": "x", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 9]]}},
        ),
        ("expect_column_median_to_be_between", {"column": "x", "max_value": -1}),
        mask=mask,
    ).verdicts
    assert one.samples == ["<s>", "<s>"]
    assert several.samples == [3]
    assert largest.result["observed_value"] == "<s>"
    assert query.samples == [{"s": "<s>"}]
    assert quantile.result["observed_value"] == {"quantiles": [0.5], "values": ["<x>"]}
    assert median.result["observed_value"] == "<x>"


def test_a_column_that_is_not_there_harms_only_its_own_expectation():
    result = result_on(ROWS, ("expect_column_max_to_be_between", {"column": "y", "max_value": 1}), BETWEEN)
    missing, there = result.verdicts
    assert "there is no column 'y'; there are: 'id', 's', 'x'" in missing.exception
    assert (missing.success, there.success, result.success) == (False, True, False)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("expect_column_mean_to_be_between", {"column": "s", "min_value": 1}),
        ("expect_column_values_to_be_between", {"column": "s", "min_value": 1}),
        ("expect_column_values_to_be_between", {"column": "x", "min_value": "a"}),
        ("expect_column_values_to_match_strftime_format", {"column": "x", "strftime_format": "%Y"}),
        ("expect_column_values_to_be_increasing", {"column": "s"}),
        ("expect_column_max_to_be_fresh", {"column": "s", "within": "1h"}),
        ("expect_table_row_count_to_equal_other_table", {"other_table_name": "nope"}),
        ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "s", "column_B": "x"}),
        ("expect_multicolumn_sum_to_equal", {"column_list": ["s", "x"], "sum_total": 1}),
        ("expect_column_values_to_be_between", {"column": "x"}),
    ],
)
def test_what_cannot_be_asked_of_a_column_is_said_in_words(name, kwargs):
    found = verdict_on(ROWS, name, **kwargs)
    assert not found.success
    assert found.exception


def test_when_the_one_statement_fails_each_expectation_is_asked_by_itself():
    statements, result = statements_of(NOT_NULL, BETWEEN, fails=lambda sql: "> 10" in sql)
    assert len(statements) == 3
    assert [verdict.exception for verdict in result.verdicts] == ["", "on purpose"]
    assert result.verdicts[0].result["unexpected_count"] == 1


def test_when_the_second_statement_fails_only_what_needs_it_is_without_a_verdict():
    increasing = ("expect_column_values_to_be_increasing", {"column": "x"})
    unique = ("expect_column_values_to_be_unique", {"column": "id", "mostly": 0.5})
    _, result = statements_of(increasing, unique, BETWEEN, fails=lambda sql: "lag(" in sql)
    assert [verdict.exception for verdict in result.verdicts] == ["on purpose", "", ""]
    assert result.verdicts[1].success


def test_samples_that_fail_leave_the_verdict():
    _, result = statements_of(
        ("expect_column_values_to_be_in_set", {"column": "s", "value_set": ["a"]}), fails=lambda sql: "to_json" in sql
    )
    assert (result.verdicts[0].exception, result.verdicts[0].samples) == ("", [])


def test_the_result_has_the_shape_of_great_expectations():
    entry = ("expect_column_values_to_be_in_set", {"column": "s", "value_set": ["a", "b"]})
    document = json.loads(json.dumps(result_on(ROWS, entry).as_json()))
    assert document["statistics"] == {
        "evaluated_expectations": 1,
        "successful_expectations": 0,
        "unsuccessful_expectations": 1,
        "success_percent": 0.0,
    }
    (found,) = document["results"]
    assert found["expectation_config"]["kwargs"] == entry[1]
    assert found["result"] == {
        "element_count": 4,
        "missing_count": 1,
        "missing_percent": 25.0,
        "unexpected_count": 1,
        "unexpected_percent": pytest.approx(100 / 3),
        "unexpected_percent_total": 25.0,
        "partial_unexpected_list": ["secret"],
    }
    assert found["exception_info"] == {
        "raised_exception": False,
        "exception_message": None,
        "exception_traceback": None,
    }
    assert set(document["meta"]["elapsed_s"]) == {"scan", "later", "samples"}


def test_names_and_values_with_quotes_are_only_names_and_values():
    rows = pa.table({'a"; DROP TABLE rows; --': ["it's", "x"]})
    kwargs = {"column": rows.column_names[0], "value_set": ["it's"]}
    found = verdict_on(rows, "expect_column_values_to_be_in_set", **kwargs)
    assert (found.exception, found.result["unexpected_count"]) == ("", 1)


def test_a_relation_may_be_files(tmp_path):
    import pyarrow.parquet as pq

    pq.write_table(ROWS, tmp_path / "rows.parquet")
    table = Table(f"read_parquet('{tmp_path}/rows.parquet')", columns_of(ROWS))
    compiled = compile_suite(suite_of(BETWEEN, ("expect_column_values_to_be_unique", {"column": "id"})), table)
    with open_engine(folders=[tmp_path], threads=1) as execute:
        result = validate(compiled, execute, mask=lambda _, value: value)
    assert [verdict.success for verdict in result.verdicts] == [True, False]
    assert result.verdicts[1].samples == [3]


def test_compiling_needs_no_engine():
    """What only reads suites stays light."""
    program = "import sys, penstock.checks.compiling, penstock.checks.validating; sys.exit('duckdb' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
