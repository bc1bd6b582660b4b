"""The strict sandbox: what it refuses, what it says of a script, and what its runners promise."""

import dataclasses
import threading

import pytest

from penstock.core.errors import SandboxUnavailable, SandboxUnsafe, ScriptRejected
from penstock.core.scripts import Act, ChunkDeath, ChunkResult
from penstock.sandbox.strict import StrictSandbox
from penstock_guest.probe import ACTS
from tests.trying import REACH, chunk_of, end_of, errors_of, records_of, result_of, script_of
from tests.twins import SAFE

KEEP = "def process(data): return data"
DIED = {"code": "crashed", "type": None, "message": "x", "script_line": None}


def test_every_act_of_the_self_test_is_tried_and_stopped(sandbox):
    report = sandbox.report()
    assert [act.name for act in report.acts] == [words for words, _ in ACTS.values()]
    assert [act.name for act in report.acts if not act.stopped] == []
    assert report.safe


def test_the_level_names_the_layers_that_are_there(sandbox):
    report = sandbox.report()
    assert report.level == ("landlock+seccomp" if report.landlock_abi else "seccomp")
    assert report.uid != 0


@pytest.mark.parametrize(
    ("report", "safe"),
    [
        (SAFE, True),
        (dataclasses.replace(SAFE, level="seccomp"), True),
        (dataclasses.replace(SAFE, level="none"), False),
        (dataclasses.replace(SAFE, acts=()), False),
        (dataclasses.replace(SAFE, acts=(*SAFE.acts, Act("fork", stopped=False, how="it worked"))), False),
    ],
)
def test_a_machine_is_safe_when_every_act_was_tried_and_stopped(report, safe):
    assert report.safe is safe


UNSAFE = dataclasses.replace(SAFE, level="none", acts=(Act("read a file", stopped=False, how="it worked"),))


@pytest.mark.parametrize(
    ("report", "words"),
    [(UNSAFE, "what a script could do: read a file"), (dataclasses.replace(SAFE, acts=()), "did not run")],
)
def test_no_script_runs_where_an_act_worked(report, words):
    """Neither is it checked; and there is no switch that turns this off."""
    sandbox = StrictSandbox()
    sandbox._reports["std"] = report
    with pytest.raises(SandboxUnsafe, match=words), sandbox.open_script(script_of(KEEP), parallel=1):
        pass
    with pytest.raises(SandboxUnsafe, match=words):
        sandbox.check(script_of(KEEP))
    assert sandbox._bases == {}


def test_a_script_that_can_run_has_no_problems(sandbox):
    assert sandbox.check(script_of(KEEP)) == []


def test_nothing_of_a_script_is_waited_for_when_it_is_checked(sandbox):
    assert sandbox.check(script_of("while True: pass\n" + KEEP)) == []


@pytest.mark.parametrize(
    ("source", "profile", "code", "line"),
    [
        ("import os\n" + KEEP, "std", "import_not_allowed", 1),
        ("def process(data) return", "std", "script_syntax", 1),
        ("x = 1", "std", "script_entry_point", None),
        ("function process(data) {\n  return +;\n}", "js", "script_syntax", 2),
        ("function clean(data) { return data }", "js", "script_entry_point", None),
    ],
)
def test_what_would_fail_is_a_problem_with_its_line(sandbox, source, profile, code, line):
    problems = sandbox.check(script_of(source, profile=profile))
    assert [(problem["code"], problem["script_line"]) for problem in problems] == [(code, line)]


def test_a_script_with_problems_is_rejected_by_the_first_and_carries_them_all(sandbox):
    source = "import os\nimport sys\n" + KEEP
    with pytest.raises(ScriptRejected) as caught, sandbox.open_script(script_of(source), parallel=1):
        pass
    assert caught.value.message == "script.py:1: a script cannot import 'os'"
    assert [problem["script_line"] for problem in caught.value.problems] == [1, 2]


def test_a_whole_chunk_can_be_left_untried(sandbox):
    """Its errors are one, not ten thousand: they would not fit into the message to the child."""
    rest = {**DIED, "code": "chunk_failed"}
    result = result_of(sandbox, KEEP, 10_000, rest=rest, skip={3: DIED})
    codes = [error["code"] for error in errors_of(result)]
    assert (codes[3], codes.count("chunk_failed"), result.output) == ("crashed", 9_999, b"")


def test_a_runner_serves_several_threads(sandbox):
    ends = {}
    with sandbox.open_script(script_of(KEEP), parallel=4) as runner:

        def run(number):
            ends[number] = [runner.run(chunk_of([{"n": number}]), seed=1, emit="ndjson", skip={}) for _ in range(10)]

        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {number: {each.output for each in runs} for number, runs in ends.items()} == {
        number: {b'{"n":%d}\n' % number} for number in range(8)
    }


def test_a_runner_that_is_stopped_lets_those_go_who_wait_for_it(sandbox):
    ends = []
    with sandbox.open_script(script_of("import time\ndef process(data): time.sleep(60)"), parallel=1) as runner:

        def run():
            with pytest.raises(SandboxUnavailable, match="zygote"):
                runner.run(chunk_of(1), seed=1, emit="ndjson", skip={})
            ends.append("stopped")

        waiting = threading.Thread(target=run)
        waiting.start()
        while not any(seat.in_use and seat.runs for seat in runner._children._seats):
            pass
        runner.stop()
        waiting.join(timeout=10)
        assert not waiting.is_alive()
        assert ends == ["stopped"]
        with pytest.raises(SandboxUnavailable, match="no child of"):
            runner.run(chunk_of(1), seed=1, emit="ndjson", skip={})


@pytest.mark.parametrize(("phase", "record"), [(1, 2**63), (99, 0), (2**63, 1), (0, 5)])
def test_a_forged_mark_harms_nobody_else(sandbox, phase, record):
    """How far it says it has come is a child's own word."""
    source = (
        REACH
        + f"""
def process(data):
    mark = sys._getframe(1).f_locals["account"].output.mark
    mark[0], mark[1] = {phase}, {record}
    os._exit(1)
"""
    )
    end = end_of(sandbox, source, 3)
    assert isinstance(end, ChunkDeath)
    assert end.phase in ("starting", "records", "whole_chunk")


@pytest.mark.parametrize("name", ["process", "process_batch"])
def test_an_entry_point_tells_how_the_function_wants_its_records(sandbox, name):
    with sandbox.open_script(script_of(f"def {name}(given): return given"), parallel=1) as runner:
        assert runner.entry_point == name


def test_a_chunk_of_full_size_goes_in_and_comes_out(sandbox):
    """16 MiB are the most that the reader puts into one."""
    records = [{"n": number, "text": "x" * 1600} for number in range(10_000)]
    result = result_of(sandbox, KEEP, records)
    assert isinstance(result, ChunkResult)
    assert records_of(result) == records
