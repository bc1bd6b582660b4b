"""The task kind `call`: a script, once, with what the task says."""

import pytest

from penstock.core.errors import ProjectInvalid, TaskFailed
from penstock.planning.fingerprints import is_of_date, task_fingerprint
from tests.pipelines import pipeline_context

FILES = {
    "pipelines/main.yml": """
tasks:
  gate: {kind: call, script: gate, with: {most: 3, region: eu}}
  late: {kind: call, script: gate, with: {most: 1}}
""",
    "scripts/gate.py": """
def process(data):
    print("asked of", data["date"], data["params"]["least"], data.get("region"))
    if data["most"] < data["params"]["least"]:
        raise ValueError("the value 4711 is too small")
""",
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory, sandbox):
    with pipeline_context(tmp_path_factory.mktemp("shop"), strict=sandbox, files=FILES) as opened:
        yield opened


def test_a_script_is_called_with_what_the_task_says_and_what_the_run_is_for(bench):
    assert bench.run("gate", params={"least": 2}) == {}
    assert bench.logs() == ["asked of 2026-01-02 2 eu\n"]


def test_an_exception_fails_the_task_with_its_name_and_line_and_not_its_words(bench):
    with pytest.raises(TaskFailed, match=r"gate failed at line 5: ValueError$") as caught:
        bench.run("late", params={"least": 2})
    assert caught.value.figures == {"line": 5, "file": "scripts/gate.py"}


def test_a_call_is_done_again_for_another_date(bench):
    task = bench.project.pipelines["main"].tasks["gate"]
    code = bench.kinds["call"].code(task.spec, bench.project)
    found = {
        task_fingerprint(task, code=code, marks={}, date=date, params={}) for date in ("2026-01-01", "2026-01-02", None)
    }
    assert len(found) == 3
    assert all(map(is_of_date, found))


def test_a_script_that_is_not_there_is_said_before_a_run(tmp_path, sandbox):
    files = {"pipelines/main.yml": "tasks: {gate: {kind: call, script: gaet}}", "scripts/gate.py": "process = print"}
    with (
        pytest.raises(ProjectInvalid, match=r"main\.yml:1:\d+: script: .*gaet"),
        pipeline_context(tmp_path, strict=sandbox, files=files),
    ):
        raise AssertionError("the project is not valid")
