"""Pipes, closed ends, full ends, and a terminal: `penstock process` among other programs."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time

import orjson
import pytest

from tests.journeys.command import PENSTOCK, Folder, ndjson
from tests.processes import descendants_of, still_there

TEN = ndjson(*({"n": n} for n in range(10)))


def shell(folder: Folder, line: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line as a person would type it."""
    environment = {**os.environ, "PENSTOCK": PENSTOCK}
    command = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(command, cwd=folder.path, env=environment, capture_output=True, timeout=60, check=False)


def test_a_reader_that_has_seen_enough_is_no_error(folder: Folder):
    folder.write(in_ndjson=ndjson(*({"n": n, "text": "x" * 5_000} for n in range(2_000))))
    done = shell(folder, "$PENSTOCK process keep.py in.ndjson | head -1")
    assert (done.returncode, orjson.loads(done.stdout)["n"]) == (0, 0)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def test_what_another_program_writes_can_be_read_by_its_descriptor(folder: Folder):
    folder.write(in_ndjson=TEN)
    done = shell(folder, "$PENSTOCK process keep.py <(cat in.ndjson) --input-format ndjson")
    assert (done.returncode, done.stdout) == (0, TEN)


def test_standard_input_may_be_a_file(folder: Folder):
    folder.write(in_csv="n\n1\n")
    done = shell(folder, "$PENSTOCK process keep.py - --input-format csv < in.csv")
    assert (done.returncode, done.stdout) == (0, b'{"n":"1"}\n')


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("$PENSTOCK process keep.py - <&-", b"standard input is closed"),
        ("$PENSTOCK process keep.py in.ndjson >&-", b"standard output is closed"),
        ("$PENSTOCK process keep.py in.ndjson > /dev/full", b"standard output: cannot be written: No space left"),
        ("$PENSTOCK process keep.py in.ndjson -o no/out.ndjson", b"no/out.ndjson: cannot be written: No such file"),
        ("$PENSTOCK process keep.py in.ndjson -o o.ndjson --dead-letters ./o.ndjson", b"both name o.ndjson"),
        ("$PENSTOCK process keep.py in.ndjson -o o.ndjson --wall inf", b"Invalid value for '--wall'"),
    ],
)
def test_an_end_that_is_missing_is_named_and_is_no_bug(folder: Folder, line: str, words: bytes):
    folder.write(in_ndjson=TEN)
    done = shell(folder, line)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert folder.names() == ["in.ndjson", "keep.py"]


def test_penstock_alone_shows_its_help(folder: Folder):
    done = folder.penstock()
    assert b"Usage: penstock" in done.stdout
    assert all(name in done.stdout for name in (b"process", b"check", b"doctor"))


@pytest.mark.parametrize("ending", ["ndjson", "csv", "parquet"])
@pytest.mark.parametrize("given", [b"", TEN], ids=["no input", "all dropped"])
def test_an_output_without_records_is_an_output(folder: Folder, ending: str, given: bytes):
    folder.write(in_ndjson=given, drop_py="def process(data):\n    return None\n")
    folder.penstock("process", "drop.py", "in.ndjson", "-o", f"out.{ending}")
    assert f"out.{ending}" in folder.names()


def test_a_chunk_of_ten_thousand_records_may_fail_as_a_whole(folder: Folder):
    folder.write(
        die_py="import json\nos = json.codecs.sys.modules['os']\ndef process_batch(records):\n    os._exit(1)\n",
        in_ndjson=ndjson(*({"n": n} for n in range(10_000))),
    )
    arguments = ("process", "die.py", "in.ndjson", "-o", "out.ndjson", "--max-errors", "100%", "--json")
    account = orjson.loads(folder.penstock(*arguments).stdout)
    assert account["causes"] == [{"code": "no_result", "type": None, "script_line": None, "records": 10_000}]
    assert len(folder.records("out.ndjson.dead-letters.ndjson")) == 10_000


@pytest.mark.parametrize("stop", ["INT", "TERM"])
def test_nobody_who_stops_a_run_waits_for_a_long_chunk(folder: Folder, stop: str):
    """A chunk may take a minute; whoever presses Ctrl-C has waited long enough."""
    folder.write(
        sleep_py="import time\nprint('started')\ndef process(data):\n    time.sleep(50)\n    return data\n",
        in_ndjson=TEN,
    )
    command = [PENSTOCK, "process", "sleep.py", "in.ndjson", "-o", "out.ndjson"]
    with subprocess.Popen(command, cwd=folder.path, stderr=subprocess.DEVNULL) as run:
        while len(below := descendants_of(run.pid)) < 6:
            time.sleep(0.01)
        time.sleep(0.3)
        subprocess.run(["kill", f"-{stop}", str(run.pid)], check=True)
        stopped_s = time.monotonic()
        assert run.wait(timeout=30) == {"INT": 130, "TERM": 143}[stop]
        assert time.monotonic() - stopped_s < 25
    assert still_there(below) == []
    assert folder.names() == ["in.ndjson", "keep.py", "sleep.py"]


def test_a_terminal_gets_a_bar_and_the_account_after_it(folder: Folder):
    """It is drawn on standard error, moves, and is gone in the end."""
    folder.write(in_ndjson=ndjson(*({"n": n} for n in range(400))), slow_py=SLOW)
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [PENSTOCK, "process", "slow.py", "in.ndjson", "-o", "out.ndjson", "--chunk", "50"],
        cwd=folder.path,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as run:
        os.close(terminal)
        drawn = everything_from(master)
        assert (run.wait(timeout=30), run.stdout and run.stdout.read()) == (0, b"")
    assert "400 records in = 400 gave output" in drawn
    bar, _, after = drawn.partition("400 records in")
    assert "%" in bar
    assert "records" in bar
    assert "\x1b[2K" in bar  # it is taken away
    assert "%" not in after


SLOW = "import time\ndef process(data):\n    time.sleep(0.002)\n    return data\n"


def everything_from(master: int) -> str:
    """Return all that was written to a terminal until its last user closed it."""
    parts = []
    while select.select([master], [], [], 30)[0]:
        try:
            part = os.read(master, 65_536)
        except OSError:  # Linux says so when nobody has the other end
            break
        parts.append(part)
    os.close(master)
    return b"".join(parts).decode()


def test_a_log_gets_no_bar(folder: Folder):
    folder.write(in_ndjson=TEN)
    done = folder.penstock("process", "keep.py", "in.ndjson", "-o", "out.ndjson")
    assert b"\x1b" not in done.stderr
    assert done.stdout == b""
