"""`penstock check` and `penstock doctor`, as somebody meets them."""

from __future__ import annotations

import dataclasses

import orjson

from penstock.core import limits
from tests.journeys.command import Folder, Here


def test_a_script_that_can_run_is_said_to(folder: Folder):
    assert folder.penstock("check", "keep.py").stdout == b"keep.py: can run\n"


def test_every_forbidden_import_is_named_with_line_and_column(folder: Folder):
    folder.write(bad_py="import json\nimport os, sys\n\ndef proces(data):\n    from socket import socket\n")
    said = folder.penstock("check", "bad.py", exit_code=2).stdout.decode()
    for place, module in (("2:1", "os"), ("2:1", "sys"), ("5:5", "socket")):
        assert f"bad.py:{place}: a script cannot import '{module}'" in said
    assert "Did you mean process?" in said
    assert "Scripts can import: abc, array" in said


def test_problems_are_there_for_programs_too(folder: Folder):
    folder.write(two_py="def process(data, extra):\n    return data\n")
    answer = orjson.loads(folder.penstock("check", "two.py", "--json", exit_code=2).stdout)
    (problem,) = answer["problems"]
    assert (answer["ok"], problem["code"], problem["script_line"]) == (False, "script_arity", 1)


def test_nothing_of_a_script_runs_when_it_is_checked(folder: Folder):
    folder.write(loop_py="while True:\n    pass\n\ndef process(data):\n    return data\n")
    assert folder.penstock("check", "loop.py").stdout == b"loop.py: can run\n"


def test_the_doctor_says_what_the_machine_offers_and_what_was_tried(folder: Folder):
    said = folder.penstock("doctor").stdout.decode()
    assert "Scripts can run safely here." in said
    assert said.count("  stopped  stopped  stopped  ") >= 12
    report = orjson.loads(folder.penstock("doctor", "--json").stdout)
    assert report["safe"] is True
    assert report["level"] in ("landlock+seccomp", "seccomp")
    assert all(act["stopped"] for act in report["acts"])
    assert report["engines"]["safe"] is True or "Landlock" in report["engines"]["refused"]
    assert "An engine (SQL) that tried to" in said or "Engines (SQL) are refused here" in said
    assert {name: each["safe"] for name, each in report["profiles"].items()} == {"std": True, "arrow": True, "js": True}


def test_the_doctor_looks_at_one_profile_when_asked(folder: Folder):
    assert "  stopped  stopped" not in folder.penstock("doctor", "--profile", "js").stdout.decode()
    assert list(orjson.loads(folder.penstock("doctor", "--profile", "js", "--json").stdout)["profiles"]) == ["js"]
    assert "engine" not in folder.penstock("doctor", "--profile", "js").stdout.decode()


def test_the_doctor_says_which_disk_is_nearly_full(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "DISK_FREE", dataclasses.replace(limits.DISK_FREE, value=2**40))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    here = Here(tmp_path)
    assert f" are free in {tmp_path}" in here.penstock("doctor", "--profile", "js").out
    assert f" are free in {tmp_path}" in here.shown("doctor", "--profile", "js")["disk_low"]
