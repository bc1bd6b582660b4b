"""Children: what they answer, how they end, and what the next one finds."""

import dataclasses
import errno
import os

import pytest

from penstock.core import limits
from penstock.core.scripts import ChunkDeath, ChunkResult
from tests.trying import REACH, chunk_of, death_of, end_of, letters_of, records_of, result_of, script_of

# From a record's call, the frame of the loop around it holds the output arena, and the one above the input.
OUTPUT = "sys._getframe(1).f_locals['account'].output._body"
INPUT = "sys._getframe(2).f_locals['given']"


def on_third(statement):
    """A script that does something forbidden with its third record, and keeps the others."""
    return REACH + f"def process(data):\n    if data['n'] == 2: {statement}\n    return data\n"


def forging(reply):
    """A script that writes a reply of its own and goes."""
    return REACH + f"def process(data):\n    os.write(0, {reply!r})\n    os._exit(0)\n"


def runs_of(sandbox, source, times, **options):
    """Run a script over one record several times, with the same runner."""
    with sandbox.open_script(script_of(source, **options), parallel=1) as runner:
        return [runner.run(chunk_of(1), seed=number, emit="ndjson", skip={}) for number in range(times)]


@pytest.mark.parametrize(
    ("code", "words", "statement", "bounds"),
    [
        ("crashed", "SIGSEGV", "ctypes.string_at(0)", {}),
        ("no_result", "status 3", "os._exit(3)", {}),
        ("forbidden_call", "system call", "ctypes.CDLL(None).syscall(425, 1, 0)", {}),
        ("limit_cpu", "the cpu limit of 1 s was reached; --cpu raises it", "\n     while True: pass", {"cpu_s": 1}),
        ("limit_wall", "the wall limit of 0.5 s was reached; --wall raises it", "time.sleep(99)", {"wall_s": 0.5}),
        ("no_result", "closed its channel", "os.close(0); time.sleep(99)", {}),
    ],
)
def test_a_death_says_what_caused_it_and_in_which_record(sandbox, code, words, statement, bounds):
    death = death_of(sandbox, on_third(statement), 5, **bounds)
    assert (death.code, death.phase, death.record) == (code, "records", 2)
    assert words in death.detail


@pytest.mark.parametrize(
    ("limits_from", "words"),
    [
        ("scripts/orders.yml", "`limits: {wall_s: ...}` in scripts/orders.yml raises it"),
        ("version", "a version that is pushed with --wall raises it"),
    ],
)
def test_a_limit_is_raised_where_the_script_s_limits_are_said(sandbox, limits_from, words):
    script = dataclasses.replace(script_of(on_third("time.sleep(99)"), wall_s=0.5), limits_from=limits_from)
    with sandbox.open_script(script, parallel=1) as runner:
        death = runner.run(chunk_of(5), seed=0, emit="ndjson", skip={})
    assert (death.code, death.detail) == ("limit_wall", f"the wall limit of 0.5 s was reached; {words}")


def test_a_death_during_a_batch_is_no_single_records_fault(sandbox):
    death = death_of(sandbox, REACH + "def process_batch(records): os._exit(1)", 3)
    assert (death.code, death.phase) == ("no_result", "whole_chunk")


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("1 / 0\ndef process(data): ...", "script_error", 1),
        (REACH + "os._exit(1)\ndef process(data): ...", "no_result", None),
    ],
)
def test_a_death_before_any_record_is_the_top_levels(sandbox, source, code, line):
    death = death_of(sandbox, source)
    assert (death.code, death.phase, death.script_line) == (code, "starting", line)


def test_what_a_script_that_catches_everything_cannot_catch_is_its_end(sandbox):
    source = on_third("\n     try:\n      while True: pass\n     except BaseException: pass")
    assert death_of(sandbox, source, 5, cpu_s=1).code == "limit_cpu"


ADDS_UP = b'"records":1,"produced":1,"dropped":0,"failed":0,"rows":1,"printed":""'


@pytest.mark.parametrize(
    "reply",
    [
        b"no json",
        b"[]",
        b"5",
        b'{"output_bytes":-1}',
        b'{"output_bytes":1.5}',
        b'{"output_bytes":"1"}',
        b'{"output_bytes":true}',
        b'{"output_bytes":99999999999999999999}',
        b'{"output_bytes":600000000}',
        b'{"dead_bytes":600000000}',
        b"{}",
        b'{"records":2,"produced":2,"dropped":0,"failed":0,"rows":2,"printed":"","causes":[]}',
        b'{"records":1,"produced":-1,"dropped":2,"failed":0,"rows":0,"printed":"","causes":[]}',
        b'{"records":"x","produced":1,"dropped":0,"failed":0,"rows":0,"printed":"","causes":[]}',
        b"{" + ADDS_UP + b"}",
        b"{" + ADDS_UP + b',"causes":5}',
        b"{" + ADDS_UP + b',"causes":[["code"]]}',
        b"{" + ADDS_UP + b',"causes":[["code","type","line",1]]}',
        b"{" + ADDS_UP + b',"causes":[["code","type",3,[]]]}',
        b'{"error":5}',
        b'{"error":{}}',
        b'{"error":{"code":"x","type":null,"message":"m","script_line":"x"}}',
    ],
)
def test_a_forged_reply_that_makes_no_sense_is_the_childs_death(sandbox, reply):
    end = end_of(sandbox, forging(reply))
    assert isinstance(end, ChunkDeath)
    assert end.code == "reply_forged"


def test_causes_that_a_child_made_up_are_no_account(sandbox):
    """They are counted and shown: a list could not be counted, and a code without a page means nothing."""
    assert death_of(sandbox, forging(b"{" + ADDS_UP + b',"causes":[[["a"],["b"],null,1]]}')).code == "reply_forged"
    assert death_of(sandbox, forging(b"{" + ADDS_UP + b',"causes":[["made_up",null,null,1]]}')).code == "reply_forged"


def test_the_words_of_a_child_are_bounded(sandbox):
    reply = b'{"error":{"code":"x","type":null,"message":"%s","script_line":null}}' % (b"m" * 50_000)
    assert len(death_of(sandbox, forging(reply)).detail) == 1000


def test_a_childs_input_stays_read_only(sandbox):
    """It cannot leave anything there for the next one in its seat: not by asking for another protection either."""
    source = f"""{REACH}
def process(data):
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer({INPUT}))
    return {{"answer": libc.mprotect(ctypes.c_void_p(address), 4096, 3), "errno": ctypes.get_errno()}}
"""
    [seen] = records_of(result_of(sandbox, source))
    assert seen == {"answer": -1, "errno": errno.EACCES}


def test_a_child_that_stays_after_its_reply_gives_its_seat_back(sandbox):
    """There are two seats: the third run waits for one, and does not wait for ever."""
    reply = b"{" + ADDS_UP + b',"causes":[]}'
    source = REACH + f"def process(data):\n    os.write(0, {reply!r})\n    time.sleep(99)\n"
    assert all(isinstance(end, ChunkResult) for end in runs_of(sandbox, source, 3))


def test_seats_are_used_again_and_again(sandbox):
    """200 children sit in two seats, and nothing is left behind."""
    source = REACH + "def process(data): return {'pid': os.getpid()}"
    with sandbox.open_script(script_of(source), parallel=1) as runner:
        run = lambda: runner.run(chunk_of(1), seed=1, emit="ndjson", skip={})  # noqa: E731  # said twice below
        warmed = [run() for _ in range(3)]
        before = len(os.listdir("/proc/self/fd"))
        pids = {records_of(run())[0]["pid"] for _ in range(200)}
        assert len(pids) == 200
        assert abs(len(os.listdir("/proc/self/fd")) - before) <= 2  # a child may be leaving or parking right now
    assert len(warmed) == 3


def test_a_script_that_is_closed_leaves_no_descriptor(sandbox):
    result_of(sandbox, "def process(data): return data")
    before = sorted(os.listdir("/proc/self/fd"))
    result_of(sandbox, "def process(data): return data")
    assert sorted(os.listdir("/proc/self/fd")) == before


COUNTING = "seen = 0\ndef process(data):\n    global seen\n    seen += 1\n    return {'seen': seen}"


def test_globals_of_an_isolated_child_never_outlive_its_chunk(sandbox):
    assert [records_of(end) for end in runs_of(sandbox, COUNTING, 4)] == [[{"seen": 1}]] * 4


def test_globals_of_a_warm_child_live_on(sandbox):
    seen = [records_of(end)[0]["seen"] for end in runs_of(sandbox, COUNTING, 4, warm=True)]
    assert seen == [1, 1, 2, 2]


def test_a_warm_child_is_replaced_after_so_many_runs(sandbox, monkeypatch):
    monkeypatch.setattr(limits, "WARM_RUNS", dataclasses.replace(limits.WARM_RUNS, value=2))
    seen = [records_of(end)[0]["seen"] for end in runs_of(sandbox, COUNTING, 8, warm=True)]
    assert max(seen) == 2


def test_a_warm_child_is_replaced_after_some_time(sandbox, monkeypatch):
    monkeypatch.setattr(limits, "WARM_AGE", dataclasses.replace(limits.WARM_AGE, value=0))
    assert [records_of(end)[0]["seen"] for end in runs_of(sandbox, COUNTING, 4, warm=True)] == [1] * 4


def test_a_warm_child_that_dies_is_replaced(sandbox):
    source = COUNTING.replace("return", "if seen == 2: json.codecs.sys.modules['os']._exit(0)\n    return")
    ends = runs_of(sandbox, "import json\n" + source, 8, warm=True)
    assert [isinstance(end, ChunkDeath) for end in ends] == [False, False, True, True] * 2


def test_the_next_child_sees_nothing_of_the_output_before(sandbox):
    """Neither what was reported, nor what was written where nobody looks, nor what a child left that died."""
    places = [300, 4_095, 70_000, 50_000_000]  # the first two lie in what is reported
    source = f"""{REACH}
    def process(data):
        body = {OUTPUT}
        seen = [body[place] for place in {places}]
        for place in {places}: body[place] = 7
        if data["n"] % 2: os._exit(1)
        return {{"seen": seen, "padding": "x" * 30_000}}
    """.replace("\n    ", "\n")
    with sandbox.open_script(script_of(source), parallel=1) as runner:
        ends = [runner.run(chunk_of([{"n": n}]), seed=1, emit="ndjson", skip={}) for n in (0, 0, 1, 1, 0, 0)]
    assert [records_of(end)[0]["seen"] for end in ends if isinstance(end, ChunkResult)] == [[0] * len(places)] * 4


def test_the_next_child_sees_nothing_of_the_input_before(sandbox):
    """Neither behind its own, nor while it is parked."""
    source = f"""{REACH}
    frame = sys._getframe()
    while "self" not in frame.f_locals or not hasattr(frame.f_locals["self"], "_given"): frame = frame.f_back
    parked = bytes(frame.f_locals["self"]._given[:100_000]).strip(bytes(1))
    def process(data):
        return {{"parked": len(parked), "behind": len(bytes({INPUT}[:100_000]).strip(bytes(1)))}}
    """.replace("\n    ", "\n")
    short = [{"n": 1}]
    long = [{"n": 1, "text": "x" * 50_000}]
    size = len(chunk_of(short).payload)
    with sandbox.open_script(script_of(source), parallel=1) as runner:
        ends = [runner.run(chunk_of(each), seed=1, emit="ndjson", skip={}) for each in (long, long, short, short)]
    [seen] = records_of(ends[-1])
    assert seen["behind"] == size
    assert seen["parked"] <= size  # its own chunk may have come while its top level still ran


def test_a_chunk_of_one_version_is_not_run_by_another(sandbox):
    with (
        sandbox.open_script(script_of("def process(data): return {'version': 1}"), parallel=1) as first,
        sandbox.open_script(script_of("def process(data): return {'version': 2}"), parallel=1) as second,
    ):
        ends = [runner.run(chunk_of(1), seed=1, emit="ndjson", skip={}) for runner in (first, second, first)]
    assert [records_of(end)[0]["version"] for end in ends] == [1, 2, 1]


def test_a_chunk_may_come_from_many_members(sandbox):
    """Where they are does not fit into a message; it lies behind the data."""
    members = [(f"folder/{number:05d}.ndjson", 1, 1, 1, 1) for number in range(3000)]
    chunk = dataclasses.replace(chunk_of(3000), segments=tuple(members))
    source = "def process(data):\n    if data['n'] % 1000 == 999: raise ValueError"
    with sandbox.open_script(script_of(source), parallel=1) as runner:
        result = runner.run(chunk, seed=1, emit="ndjson", skip={})
    assert [letter["member"] for letter in letters_of(result)] == [members[n][0] for n in (999, 1999, 2999)]


@pytest.mark.parametrize(
    "place", ["[0,99999999999]", "[-5000,10]", "[600000000,10]", "[0]", "5", '["a","b"]', "[0,20]"]
)
def test_a_reply_that_lies_behind_the_data_must_lie_there(sandbox, place):
    assert death_of(sandbox, forging(b'{"behind":%s}' % place.encode())).code == "reply_forged"
