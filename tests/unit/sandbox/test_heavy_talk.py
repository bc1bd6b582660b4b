"""Engines that are asked more than once: each question by itself, all within the bounds of one attempt."""

import decimal
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.core.engines import EngineAnswer, EngineFailure, EngineRequest, Stop, plain_rows
from penstock.core.errors import SandboxUnavailable
from penstock.sandbox.heavy import HeavySandbox
from tests.unit.sandbox.test_heavy import BOUNDS, FOR_EVER, MIB, pretending


@pytest.fixture
def staging(tmp_path):
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def request(staging, **bounds):
    return EngineRequest("sql", {"tables": {}, "readable": []}, [], str(staging), replace(BOUNDS, **bounds))


def rows(sql):
    return {"act": "rows", "sql": sql, "rows_max": 10}


def found(talk, question):
    answer = talk.ask(question)
    assert isinstance(answer, EngineAnswer), answer
    return answer.answer["rows"]


def refused(talk, question):
    failure = talk.ask(question)
    assert isinstance(failure, EngineFailure), failure
    return failure


def test_each_question_has_its_answer_and_a_bad_one_harms_no_other(staging):
    with HeavySandbox().converse(request(staging)) as talk:
        assert found(talk, rows("SELECT 1")) == [[1]]
        assert refused(talk, rows("SELECT nope")).code == "sql_failed"
        assert refused(talk, rows("DROP TABLE x")).message == "this is not one SELECT"
        assert found(talk, rows("SELECT 2")) == [[2]]


def test_what_json_lacks_comes_back_as_what_it_was(staging):
    with HeavySandbox().converse(request(staging)) as talk:
        sql = "SELECT 1.50::DECIMAL(4,2), 'inf'::DOUBLE, 99999999999999999999::HUGEINT, [DATE '2026-01-01'], NULL"
        (row,) = plain_rows(found(talk, rows(sql)))
    assert row == [decimal.Decimal("1.50"), math.inf, 99999999999999999999, ["2026-01-01"], None]


def test_an_engine_that_was_killed_answers_every_further_question_so(staging):
    with HeavySandbox().converse(request(staging)) as talk:
        talk.ask(rows("SELECT 1"))
        os.kill(talk._child._process.pid, signal.SIGKILL)
        failure = refused(talk, rows("SELECT 2"))
        assert (failure.code, failure.killed) == ("crashed", True)
        assert talk.ask(rows("SELECT 3")) == failure


def test_bounds_hold_for_all_questions_together(staging):
    with HeavySandbox().converse(request(staging, wall_s=1.5)) as talk:
        assert isinstance(talk.ask(rows("SELECT 1")), EngineAnswer)
        time.sleep(1.5)
        assert refused(talk, rows("SELECT 2")).code == "limit_wall"
    stop = Stop()
    with HeavySandbox().converse(request(staging), stop=stop) as talk:
        talk.ask(rows("SELECT 1"))
        stop.ask()
        assert refused(talk, rows(FOR_EVER)).code == "cancelled"


def test_a_file_that_grows_beyond_the_disk_limit_says_so(staging):
    with HeavySandbox().converse(request(staging, disk_bytes=MIB)) as talk:
        talk.ask(
            {
                "act": "columns",
                "sql": "SELECT (hash(range) >> 1)::BIGINT AS a FROM range(400_000)",
                "known": {},
                "added": [],
            }
        )
        failure = refused(talk, {"act": "write", "name": "x.parquet", "ids": "{a: 1}", "partition_by": []})
    assert (failure.code, failure.message) == ("limit_disk", "a file grew beyond the disk limit")


def test_nothing_goes_on_when_nobody_asks_any_more(staging):
    with HeavySandbox().converse(request(staging)) as talk:
        talk.ask(rows("SELECT 1"))
        pid = talk._child._process.pid
        assert Path("/proc", str(pid)).exists()
    assert not Path("/proc", str(pid)).exists()


def test_an_engine_that_says_more_than_it_was_asked_is_not_believed(staging, tmp_path):
    said = """\
say(LOCKED + '{"answer": {}}\\n')
os.read(channel.fileno(), 9999)
say('{"answer": {}}\\n{"answer": {}}\\n')
time.sleep(30)
"""
    with pretending(tmp_path, said) as sandbox, sandbox.converse(request(staging)) as talk:
        assert refused(talk, rows("SELECT 1")).code == "crashed"


def test_an_engine_that_ends_in_the_middle_of_an_answer_has_given_none(staging, tmp_path):
    said = """say(LOCKED + '{"answer": {}}\\n'); os.read(channel.fileno(), 9999); say('{"answer": {"rows": [[')"""
    with pretending(tmp_path, said) as sandbox, sandbox.converse(request(staging)) as talk:
        assert refused(talk, rows("SELECT 1")).code == "crashed"


def test_an_engine_that_does_not_start_is_tried_again_later(staging, tmp_path):
    with (
        pretending(tmp_path, "sys.exit(3)") as sandbox,
        sandbox.converse(request(staging)) as talk,
        pytest.raises(SandboxUnavailable),
    ):
        talk.ask(rows("SELECT 1"))
