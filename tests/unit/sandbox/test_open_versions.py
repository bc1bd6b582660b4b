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
from penstock.core.scripts import Chunk, ChunkResult, InputFile, ScriptLimits, ScriptVersion
from penstock.sandbox.meters import cpu_s_of
from penstock.sandbox.open_versions import OpenVersions
from penstock.sandbox.strict import StrictSandbox
from tests.processes import descendants_of, still_there, wait_for
from tests.trying import REACH

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


BUSY = b"""import time
def process(data):
    until_s = time.process_time() + data["cpu_s"]
    while time.process_time() < until_s: pass
    return data
"""


def run_busy(part, version, cpu_s):
    """What becomes of one record that takes so much CPU time."""
    line = b'{"cpu_s":%.2f}\n' % cpu_s
    with part.open_script(version, parallel=1) as runner:
        return runner.run(dataclasses.replace(ONE, payload=line), seed=0, emit="ndjson", skip={})


@pytest.mark.parametrize("tier", ["isolated", "warm"])
def test_an_attempt_is_told_all_the_cpu_time_of_its_own_children_and_none_of_others(versions, tier):
    """Though the zygote is late to say how they end: here, it says nothing."""
    version = script(BUSY + tier.encode().join([b"# ", b"\n"]), tier=tier)
    children = zygote(versions, "ws_1", version)
    parts = [versions.for_part("ws_1") for _ in range(3)]
    with children._change:  # which whoever takes note of an end needs, unless it is this thread
        for part, cpu_s in zip(parts, (0.3, 0.0, 0.1), strict=True):
            run_busy(part, version, cpu_s)
        told = [part.take_cpu_s() for part in parts]
    assert 0.3 <= told[0] < 0.4
    assert told[1] < 0.1 <= told[2] < 0.2


@pytest.mark.parametrize(("bounds", "end"), [({"cpu_s": 1}, "limit_cpu"), ({"wall_s": 0.5}, "limit_wall")])
def test_an_attempt_that_a_limit_ends_is_told_its_cpu_time(versions, bounds, end):
    version = script(SLOW + b"# %s\n" % end.encode(), limits=ScriptLimits(**bounds))
    part = versions.for_part("ws_1")
    assert run_busy(part, version, 0.0).code == end
    assert part.take_cpu_s() > 0.02


def test_a_part_that_is_stopped_is_told_its_cpu_time(versions):
    part, version = versions.for_part("ws_1"), script(SLOW + b"# stopped\n")
    children = zygote(versions, "ws_1", version)

    def go_on_for_ever():
        with contextlib.suppress(SandboxUnavailable):
            run_busy(part, version, 0.0)

    thread = threading.Thread(target=go_on_for_ever)
    thread.start()
    seat = wait_for(lambda: next((seat for seat in children._seats if seat.in_use and seat.pid and seat.runs), None))
    wait_for(lambda: cpu_s_of(seat.pid) > 0.05)
    part.stop()
    thread.join()
    assert part.take_cpu_s() > 0.05


@pytest.mark.parametrize("tier", ["isolated", "warm"])
def test_how_far_a_script_is_can_be_seen_while_it_runs(versions, tier):
    source = b"def process(data):\n    while data['wait']: pass\n    return data\n# " + tier.encode()
    part, version = versions.for_part("ws_1"), script(source, tier=tier)
    lines = b'{"wait":false}\n' * 3 + b'{"wait":true}\n'
    slow = Chunk("in", "ndjson", lines, 4, ((None, 1, 4, 1, 4),))
    quick = Chunk("in", "ndjson", lines[:30], 2, ((None, 1, 2, 1, 2),))

    def go_on_for_ever():
        with part.open_script(version, parallel=1) as runner, contextlib.suppress(SandboxUnavailable):
            for chunk in (quick, slow):
                runner.run(chunk, seed=0, emit="ndjson", skip={})

    thread = threading.Thread(target=go_on_for_ever)
    thread.start()
    wait_for(lambda: part.records_done() == 2 + 3)
    part.stop()
    thread.join()


def test_a_script_that_claims_more_than_it_was_given_is_not_believed(versions):
    source = f"{REACH}def process(data):\n    sys._getframe(1).f_locals['mark'][1] = 2**40\n    while True: pass\n"
    part, version = versions.for_part("ws_1"), script(source.encode())

    def go_on_for_ever():
        with contextlib.suppress(SandboxUnavailable):
            run_busy(part, version, 0.0)

    thread = threading.Thread(target=go_on_for_ever)
    thread.start()
    wait_for(lambda: part.records_done() == 1)
    part.stop()
    thread.join()


@pytest.mark.parametrize("ended_by", ["its end", "its pool's end"])
def test_what_a_child_does_after_its_reply_is_its_workspaces_and_no_attempts(versions, ended_by):
    """It replies by itself, as tenant code does that has looked for its channel, and goes on."""
    account = b'{"records":1,"produced":1,"dropped":0,"failed":0,"rows":0,"causes":[],"printed":""}'
    source = f"{REACH}# {ended_by}\ndef process(data):\n    os.write(0, {account!r})\n    while True: pass\n"
    part, version = versions.for_part("ws_late"), script(source.encode())
    run_busy(part, version, 0.0)
    told = part.take_cpu_s()
    with versions.use("ws_late", version) as (children, _):
        (seat,) = [seat for seat in children._seats if seat.meter is not None]
        wait_for(lambda: cpu_s_of(seat.pid) > told + 0.1)
        children.end(seat) if ended_by == "its end" else children.stop()
        wait_for(lambda: versions.take_late().get("ws_late", 0.0) > 0.1)
    assert part.take_cpu_s() == told


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
