"""The task kind `expectations`: a suite on what the run has written, judged by one locked child."""

import datetime as dt
import json
from typing import Any

import duckdb
import pytest

from penstock.checks.compiling import compile_suite
from penstock.checks.engine import open_engine
from penstock.checks.expectations import discover
from penstock.checks.suites import Expectation, Suite
from penstock.checks.tables import Table
from penstock.checks.validating import StatementFailed, validate
from penstock.core.columns import Column
from penstock.core.engines import EngineAnswer, EngineRequest, plain_rows
from penstock.core.errors import CheckFailed, ProjectInvalid, TaskFailed
from penstock.tasks.expectations import masked
from tests.parity.expectation_cases import cases, tables
from tests.pipelines import load, pipeline_context

D1, D2 = dt.date(2026, 1, 1), dt.date(2026, 1, 2)
EXPECTATIONS: list[dict[str, Any]] = [
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "customer"}},
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "total", "min_value": 0}},
    {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "mail", "regex": "@"}},
    {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1, "max_value": 3}},
    {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}},
]
OTHER = {"type": "expect_table_row_count_to_equal_other_table", "kwargs": {"other_table_name": "raw.copy"}}
CUSTOM = {
    "type": "unexpected_rows_expectation",
    "kwargs": {"unexpected_rows_query": "SELECT * FROM {batch} WHERE nope > 1"},
}


def suite(*more):
    return json.dumps({"name": "orders", "expectations": [*EXPECTATIONS, *more]})


PIPELINE = """
tasks:
  good: {kind: expectations, from: raw.orders, suite: expectations/orders.json, window: day}
  bad: {kind: expectations, from: raw.orders, suite: expectations/orders.json}
  warn: {kind: expectations, from: raw.orders, suite: expectations/orders.json, on_failure: warn}
  compare: {kind: expectations, from: raw.orders, suite: expectations/compare.json, others: [raw.copy]}
  custom: {kind: expectations, from: raw.orders, suite: expectations/custom.json}
  one: {kind: expectations, from: raw.orders, suite: expectations/one.json}
"""
FILES = {
    "pipelines/main.yml": PIPELINE,
    "expectations/orders.json": suite(),
    "expectations/compare.json": json.dumps({"expectations": [OTHER]}),
    "expectations/custom.json": json.dumps({"expectations": [CUSTOM, *EXPECTATIONS[-1:]]}),
    "expectations/one.json": json.dumps({"expectations": EXPECTATIONS[-1:]}),
}
ROWS = [
    {"id": 1, "customer": None, "total": 5.0, "mail": "ada@example.org", "_date": D1},
    {"id": 1, "customer": "bo", "total": -7.5, "mail": "s3cret Böb", "_date": D1},
    {"id": 3, "customer": "cy", "total": 9.0, "mail": "cy@example.org", "_date": D2},
    {"id": 4, "customer": "di", "total": 9.5, "mail": "di@example.org", "_date": D2},
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory, sandbox):
    with pipeline_context(tmp_path_factory.mktemp("shop"), strict=sandbox, files=FILES) as opened:
        opened.put("raw.orders", ROWS, by=("_date",))
        opened.put("raw.copy", ROWS[:3])
        yield opened


@pytest.fixture(autouse=True)
def another_run(bench):
    bench.next_run()


def results(bench):
    with bench.database.read() as tx:
        rows = tx.exec_driver_sql(
            "SELECT task, name, snapshot, suite, success, evaluated, failed, blocks, verdicts FROM check_results"
            " WHERE run = ?",
            (bench.run_id,),
        ).all()
    return [(*row[:8], json.loads(row[8])) for row in rows]


def test_the_day_of_the_run_is_checked_and_the_result_kept_with_its_snapshot(bench):
    assert bench.run("good") == {"rows": 2, "rejected": 0, "evaluated": 5, "failed": 0}
    ((task, table, snapshot, name, success, evaluated, failed, blocks, verdicts),) = results(bench)
    assert (task, table, name) == ("good", "raw.orders", "expectations/orders.json")
    assert (success, evaluated, failed, blocks) == (1, 5, 0, 1)
    assert snapshot == bench.lake.heads(bench.ctx().occurrence.workspace, ["raw.orders"])["raw.orders"]
    assert [verdict["success"] for verdict in verdicts] == [True] * 5


def test_one_that_is_not_met_is_told_in_the_singular(bench):
    with pytest.raises(
        CheckFailed, match=r"^1 of 1 expectations of expectations/one\.json is not met by raw\.orders: "
    ):
        bench.run("one")


def test_what_is_not_met_blocks_and_is_named_with_figures_and_no_values(bench):
    with pytest.raises(CheckFailed) as caught:
        bench.run("bad")
    assert caught.value.message == (
        "5 of 5 expectations of expectations/orders.json are not met by raw.orders:"
        " expect_column_values_to_not_be_null(customer): 1 of 4 rows (25 %);"
        " expect_column_values_to_be_between(total): 1 of 4 rows (25 %);"
        " expect_column_values_to_match_regex(mail): 1 of 4 rows (25 %);"
        " expect_table_row_count_to_be_between(): found 4;"
        " expect_column_values_to_be_unique(id): 2 of 4 rows (50 %)"
    )
    assert len(caught.value.figures["failures"]) == 5
    ((*_, verdicts),) = results(bench)
    samples = [verdict["result"].get("partial_unexpected_list") for verdict in verdicts]
    assert samples[1:3] == [["-9.9"], ["x9xxxx xxx"]]
    assert "s3cret" not in str(caught.value) + json.dumps(verdicts)


def test_a_warning_is_told_and_the_run_goes_on(bench):
    assert bench.run("warn")["failed"] == 5
    assert "not met: expect_column_values_to_not_be_null(customer): 1 of 4 rows (25 %)" in bench.logs()
    assert results(bench)[0][7] == 0


def test_another_table_can_be_compared_with(bench):
    with pytest.raises(CheckFailed, match="expect_table_row_count_to_equal_other_table"):
        bench.run("compare")
    with bench.open("compare") as ctx:
        assert bench.kinds["expectations"].reads(ctx._task().spec) == ("raw.orders", "raw.copy")


def test_an_expectation_that_cannot_be_asked_fails_alone_and_says_why(bench):
    with pytest.raises(CheckFailed) as caught:
        bench.run("custom")
    first, second = caught.value.figures["failures"]
    assert 'Referenced column "nope" not found' in first
    assert second == "expect_column_values_to_be_unique(id): 2 of 4 rows (50 %)"


def test_an_engine_that_is_killed_fails_the_task_and_no_expectation(bench, monkeypatch):
    from penstock.core.engines import EngineLimits

    monkeypatch.setattr("penstock.execution.task_context.EngineLimits", lambda: EngineLimits(wall_s=0.05))
    with pytest.raises(TaskFailed) as caught:
        bench.run("bad")
    assert not isinstance(caught.value, CheckFailed)
    assert caught.value.figures["code"] == "limit_wall"
    assert results(bench) == []


def test_one_child_answers_all(bench, monkeypatch):
    started = []
    converse = bench.parts.engines.converse

    def counted(*asked, **words):
        started.append(asked)
        return converse(*asked, **words)

    monkeypatch.setattr(bench.parts.engines, "converse", counted)
    bench.run("warn")
    assert len(started) == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Añ-1_b", "xx-9_x"),
        (-12.5, "-99.9"),
        (True, "x"),
        (None, None),
        (["a", {"b": 1}], ["x", {"x": "9"}]),
        ("नि ٣ ½ 🙂", "xx x x x"),  # vowel signs, digits and signs of other scripts tell as much as letters
    ],
)
def test_a_masked_value_has_its_form_only(value, shown):
    assert masked(value) == shown


@pytest.mark.parametrize(
    ("content", "words", "place"),
    [
        (None, "suite: the project has no file expectations/x.json", "pipelines/main.yml:2:"),
        ("{", "", "expectations/x.json:"),
        (suite({"type": "expect_colum_to_exist", "kwargs": {}}), "expect_colum_to_exist", "expectations/x.json:"),
        (
            suite({"type": "expect_column_values_to_match_regex", "kwargs": {"column": "a", "regex": "(?=x)"}}),
            "",
            "expectations/x.json:",
        ),
    ],
)
def test_what_is_wrong_with_a_suite_is_told_before_a_run(content, words, place):
    task = "{kind: expectations, from: raw.orders, suite: expectations/x.json}"
    files = {"pipelines/main.yml": f"tasks:\n  t: {task}\n", "expectations/orders.json": suite()}
    files |= {} if content is None else {"expectations/x.json": content}
    with pytest.raises(ProjectInvalid) as caught:
        load(files)
    assert words in caught.value.problems[0].message
    assert str(caught.value.problems[0].place).startswith(place)


def test_a_locked_child_gives_the_verdicts_of_the_published_cases(bench, tmp_path):
    """Every type of answer comes through JSON as it is in the same process."""
    relations, staging, types, data = {}, tmp_path / "staging", discover(), tables()
    staging.mkdir()
    for name, (_, rows) in data.items():
        # As the lake's files are: statistics of other writers leave NaN out, and DuckDB then does not look for it.
        duckdb.from_arrow(rows).write_parquet(str(tmp_path / f"{name}.parquet"))
        relations[name] = {"relation": f"SELECT * FROM read_parquet('{tmp_path / name}.parquet')"}
    paths = [str(tmp_path / f"{name}.parquet") for name in relations]
    ask = {"tables": relations, "readable": paths, "ordered": True}
    request = EngineRequest("sql", ask, paths, str(staging))
    with (
        open_engine(tables={name: rows for name, (_, rows) in data.items()}, threads=1) as here,
        bench.parts.engines.converse(request) as talk,
    ):

        def there(sql):
            ended = talk.ask({"act": "rows", "sql": sql, "rows_max": 1_000})
            if isinstance(ended, EngineAnswer):
                return plain_rows(ended.answer["rows"])
            raise StatementFailed(ended.message)

        for case in {case.type: case for case in cases()}.values():
            spec = types[case.type].Spec.model_validate(case.kwargs)
            columns = tuple(Column(name, kind) for name, kind in data[case.table][0].items())
            one = Suite("case", (Expectation(case.type, spec, case.kwargs, {}, "critical"),))
            compiled = compile_suite(one, Table(f'"{case.table}"', columns), types=types)
            mine, theirs = (validate(compiled, how, mask=lambda _, value: value).verdicts[0] for how in (there, here))
            assert (mine.success, mine.result) == (theirs.success, theirs.result), case.name
            assert sorted(mine.samples, key=repr) == sorted(theirs.samples, key=repr), case.name
