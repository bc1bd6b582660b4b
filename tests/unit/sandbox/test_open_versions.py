"""Script versions stay open between jobs, apart for each workspace, and a job stops only what is its own."""

import contextlib
import dataclasses
import os
import signal
import threading
import time

import pytest

from penstock.core import limits
from penstock.core.errors import SandboxUnavailable
from penstock.core.scripts import Chunk, ChunkResult, InputFile, ScriptVersion
from penstock.sandbox.open_versions import OpenVersions
from penstock.sandbox.strict import StrictSandbox
from tests.processes import descendants_of, still_there, wait_for

COUNTS = b"seen = []\ndef process(data):\n    seen.append(1)\n    return {'seen': len(seen)}\n"
SLOW = b"def process(data):\n    while True: pass\n"
ONE = Chunk("in", "ndjson", b"{}\n", 1, ((None, 1, 1, 1, 1),))


@pytest.fixture(scope="module")
def versions():
    with contextlib.closing(OpenVersions(StrictSandbox(), seats=2)) as opened:
        yield opened


def script(source=COUNTS, **changes):
    return ScriptVersion("s.py", source, "python", "std", **changes)


def run(part, version):
    """What one record gives."""
    with part.open_script(version, parallel=1) as runner:
        end = runner.run(ONE, seed=0, emit="ndjson", skip={})
    assert isinstance(end, ChunkResult), end
    return end.output


def zygote(versions, workspace, version):
    with versions.use(workspace, version) as (children, _):
        return children


def test_a_version_stays_open_between_jobs(versions):
    assert zygote(versions, "ws_1", script()) is zygote(versions, "ws_1", script())


def test_the_same_code_is_not_shared_between_workspaces(versions):
    """A warm child remembers what it has seen."""
    warm = script(tier="warm")
    first = [run(versions.for_part("ws_1"), warm) for _ in range(8)]
    assert first[-1] != b'{"seen":1}\n'
    assert run(versions.for_part("ws_2"), warm) == b'{"seen":1}\n'


def test_one_that_has_died_is_opened_again(versions):
    dead = zygote(versions, "ws_1", script())
    dead.stop()
    assert run(versions.for_part("ws_1"), script()) == b'{"seen":1}\n'


def test_what_was_not_used_for_longest_is_closed_first(versions, monkeypatch):
    monkeypatch.setattr(limits, "OPEN_VERSIONS", dataclasses.replace(limits.OPEN_VERSIONS, value=2))
    first, second, third = (script(COUNTS + b"#%d" % number) for number in range(3))
    opened = [zygote(versions, "ws_3", version) for version in (first, second)]
    zygote(versions, "ws_3", first)
    zygote(versions, "ws_3", third)
    assert [children.alive for children in opened] == [True, False]


def test_a_job_that_is_stopped_ends_at_once_and_harms_no_other(versions):
    stopped, other = versions.for_part("ws_1"), versions.for_part("ws_1")
    caught = []

    def go_on_for_ever():
        try:
            run(stopped, script(SLOW))
        except SandboxUnavailable as error:
            caught.append(error)

    thread = threading.Thread(target=go_on_for_ever)
    thread.start()
    children = zygote(versions, "ws_1", script(SLOW))
    while not any(seat.in_use and seat.runs for seat in children._seats):
        time.sleep(0.01)
    stopped.stop()
    thread.join(timeout=10)
    assert len(caught) == 1
    assert children.alive
    assert run(other, script()) == b'{"seen":1}\n'


def test_nothing_begins_in_a_job_that_was_stopped(versions):
    part = versions.for_part("ws_1")
    part.stop()
    with pytest.raises(SandboxUnavailable):
        run(part, script())


def test_a_locked_reader_is_stopped_too(versions, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"a\n" + b"1\n" * 100_000)
    part = versions.for_part("ws_1")
    with path.open("rb") as file:
        given = InputFile("in.csv", file.fileno(), path.stat().st_size)
        with part.open_input(given, chunk_records=10, as_arrow=False) as reader:
            chunks = iter(reader)
            next(chunks)
            part.stop()
            with pytest.raises(Exception, match="ended"):
                list(chunks)


@pytest.mark.parametrize("tier", ["isolated", "warm"])
def test_the_cpu_time_of_children_is_told(versions, tier):
    busy = script(b"def process(data):\n    for _ in range(3_000_000): pass\n    return data\n", tier=tier)
    part = versions.for_part("ws_1")
    run(part, busy)
    assert part.cpu_s > 0.02


def test_a_sandbox_whose_zygotes_have_died_is_unavailable_and_then_there_again(versions):
    """Its scripts are not to blame."""
    base = versions.sandbox.start("std")
    base._process.kill()
    base._process.wait()
    fresh = script(COUNTS + b"# fresh\n")
    with contextlib.suppress(SandboxUnavailable):
        run(versions.for_part("ws_1"), fresh)
    assert run(versions.for_part("ws_1"), fresh) == b'{"seen":1}\n'


def test_a_child_whose_zygote_is_killed_ends_with_it_and_its_script_is_not_to_blame(versions):
    endless = script(SLOW + b"# alone\n")
    part = versions.for_part("ws_1")
    with part.open_script(endless, parallel=1) as runner:
        pid = zygote(versions, "ws_1", endless)._zygote.pid
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(SandboxUnavailable, match=r"zygote of s\.py has ended"):
            runner.run(ONE, seed=1, emit="ndjson", skip={})


def test_a_child_that_is_killed_while_it_is_parked_is_no_fault_of_its_script(versions):
    given = script(COUNTS + b"# parked\n")
    part = versions.for_part("ws_1")
    with part.open_script(given, parallel=1) as runner:
        zygote_pid = zygote(versions, "ws_1", given)._zygote.pid
        wait_for(lambda: len(descendants_of(zygote_pid)) == 2)
        time.sleep(0.5)  # until they have said their numbers
        parked = descendants_of(zygote_pid)
        for pid in parked:
            os.kill(pid, signal.SIGKILL)
        assert still_there(parked) == []
        for _ in parked:
            with pytest.raises(SandboxUnavailable, match="while it was parked"):
                runner.run(ONE, seed=1, emit="ndjson", skip={})
        assert isinstance(runner.run(ONE, seed=1, emit="ndjson", skip={}), ChunkResult)
