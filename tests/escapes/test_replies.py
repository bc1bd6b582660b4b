"""Forged replies: whatever a child says is untrusted. The service answers with a typed end, in time, and lives on."""

from __future__ import annotations

import contextlib
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from unittest import mock

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.core.errors import PenstockError
from penstock.core.processing import ScriptReport
from penstock.core.scripts import ChunkDeath, ChunkResult, ScriptLimits, Tier
from penstock.execution.chunks import run_chunk
from penstock.sandbox.children import Children, Death, Reply, Seat
from penstock.sandbox.strict import StrictScriptRunner
from penstock_guest import wire
from tests.escapes.attack import MIB, SMALL, Attack
from tests.escapes.conftest import Laboratories
from tests.escapes.laboratory import Laboratory, chunk, processes_of, script

LIMITS: Final = replace(SMALL, wall_s=0.3, cpu_s=1)
CHUNK: Final = chunk({"numbers": {}, "paths": []})
ACCOUNT: Final = {
    "output_bytes": 0,
    "dead_bytes": 0,
    "records": 1,
    "produced": 1,
    "dropped": 0,
    "failed": 0,
    "rows": 1,
    "causes": [["script_error", "ValueError", 1, 1]],
    "printed": "",
}
ERROR: Final = {"code": "script_error", "type": "E", "message": "m", "phase": "whole_chunk", "script_line": 1}
MARK: Final = "mark = next(f.f_locals['output'].mark for f in frames() if 'output' in f.f_locals)\n"
# What else a child may do on its channel, and with its end.
DEEDS: Final = {
    "says nothing and ends": "os._exit(0)",
    "crashes": "ctypes.string_at(0)",
    "sends noise": "os.write(0, bytes(range(256)))",
    "sends too much": "os.write(0, b'[' * 150_000)",
    "sends brackets": "os.write(0, b'[' * 60_000)",
    "sends a number without end": "os.write(0, b'9' * 60_000)",
    "sends nothing and stays": "os.write(0, b''); time.sleep(3)",
    "closes the channel and stays": "os.close(0); time.sleep(3)",
    "replies and stays": f"os.write(0, {orjson.dumps(ACCOUNT)!r}); time.sleep(3)",
    "replies and computes": f"os.write(0, {orjson.dumps(ACCOUNT)!r})\nwhile time.time() < time.time() + 1: pass",
    "replies twice": f"os.write(0, {orjson.dumps(ACCOUNT)!r}); os.write(0, b'again')",
    "claims a phase that there is not": MARK + "mark[0] = 2**63; ctypes.string_at(0)",
    "claims a record that there is not": MARK + "mark[1] = 2**63; ctypes.string_at(0)",
    "claims to be at the whole chunk": MARK + "mark[0] = 2; ctypes.string_at(0)",
}
BOMB: Final = f"""
output = next(f.f_locals["output"] for f in frames() if "output" in f.f_locals)
bomb = b'{{"printed":[' + b"{{}}," * 5_500_000 + b"{{}}]}}"
output._body[: len(bomb)] = bomb
os.write(0, json.dumps({{{wire.BEHIND!r}: [0, len(bomb)]}}).encode())
os._exit(0)
"""
ODDITIES: Final[tuple[Any, ...]] = (-1, 1.5, 2**63, 1e300, True, None, "x", [], [[]], {}, {"a": 1})


def forged(**changes: object) -> dict[str, Any]:
    """A reply as the service expects it, but for some values."""
    return ACCOUNT | changes


FORGERIES: Final[dict[str, Any]] = {
    **{f"{name} is {oddity}": forged(**{name: oddity}) for name in ACCOUNT for oddity in ODDITIES},
    **{f"a cause is {oddity}": forged(causes=[["c", oddity, oddity, 1]]) for oddity in ODDITIES},
    **{f"an error's {name} is {oddity}": {"error": ERROR | {name: oddity}} for name in ERROR for oddity in ODDITIES},
    **{f"an error without {name}": {"error": {key: ERROR[key] for key in ERROR if key != name}} for name in ERROR},
    **{f"an error is {oddity}": {"error": oddity} for oddity in ODDITIES},
    **{f"a bug is {oddity}": forged(bug=oddity) for oddity in ODDITIES},
    **{f"all is {oddity}": oddity for oddity in ODDITIES},
}


class Saying:
    """Children that all say the same."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def run(self, _request: dict[str, Any], _data: bytes, *, records: int) -> Reply | Death:
        """Take the reply apart as real children's is."""
        assert records == CHUNK.records
        children = object.__new__(Children)
        with mock.patch.object(children, "_kill", lambda _seat, code, *_: Death(code, "", SEAT.output.mark(), 0.0)):
            return children._reply(SEAT, self._answer)


SEAT: Final = Seat(0, input_bytes=0, output_bytes=4096)


def account_of(answer: bytes) -> ChunkResult | ChunkDeath | PenstockError:
    """Take one reply through everything that the service does with it."""
    runner = StrictScriptRunner(script(b""), Saying(answer), "process")  # type: ignore[arg-type]  # children, for what is used of them
    end = runner.run(CHUNK, seed=1, emit="ndjson", skip={})
    if isinstance(end, ChunkResult):
        ScriptReport().count_causes(end.causes)
    try:
        return run_chunk(runner, CHUNK, seed=1, emit="ndjson") if isinstance(end, ChunkDeath) else end
    except PenstockError as error:
        return error


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_reply_has_a_typed_end(forgery: str):
    assert isinstance(account_of(orjson.dumps(FORGERIES[forgery])), ChunkResult | ChunkDeath | PenstockError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ACCOUNT, *ERROR]), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*ACCOUNT, "error", "bug"]), JSON), st.binary(max_size=3))
def test_any_reply_has_a_typed_end(changes: dict[str, Any], noise: bytes):
    account_of(orjson.dumps(ACCOUNT | changes) + noise)


@pytest.mark.parametrize("deed", DEEDS)
def test_what_a_child_does_on_its_channel_ends_in_time(deed: str, laboratories: Laboratories):
    """A typed end soon after the wall time, the child is gone, and its place is free for the next chunk."""
    laboratory = laboratories()
    with runner_of(laboratory, DEEDS[deed]) as (runner, first):
        for _ in range(2):
            started_s = time.monotonic()
            end = runner.run(CHUNK, seed=1, emit="ndjson", skip={})
            assert isinstance(end, ChunkResult | ChunkDeath)
            assert time.monotonic() - started_s < LIMITS.wall_s + 20
        assert first & processes_of(laboratory.base("std")) == set(), "a child outstays its chunk"


def test_a_warm_child_that_never_listens_cannot_hold_the_service(laboratories: Laboratories):
    deed = f"while True: os.write(0, {orjson.dumps(ACCOUNT)!r})"
    with runner_of(laboratories(), deed, tier="warm") as (runner, _):
        fallen: list[OSError] = []

        def use() -> None:
            try:
                for _ in range(2000):
                    runner.run(CHUNK, seed=1, emit="ndjson", skip={})
            except PenstockError:
                pass
            except OSError as error:
                fallen.append(error)

        thread = threading.Thread(target=use, daemon=True)
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive(), "the service waits for a child that does not take its requests"
        assert fallen == []


def test_a_long_reply_cannot_fill_the_memory_of_the_service(laboratories: Laboratories):
    """A few bytes of JSON make an object of many, and a long message lies in the arena."""
    roomy = replace(LIMITS, output_bytes=32 * MIB, wall_s=5)
    with runner_of(laboratories(), BOMB, limits=roomy) as (runner, _):
        tracemalloc.start()
        try:
            end = runner.run(CHUNK, seed=1, emit="ndjson", skip={})
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert isinstance(end, ChunkResult | ChunkDeath)
    assert peak_bytes < 100 * MIB


@contextlib.contextmanager
def runner_of(
    laboratory: Laboratory, deed: str, *, tier: Tier = "isolated", limits: ScriptLimits = LIMITS
) -> Iterator[tuple[StrictScriptRunner, set[int]]]:
    """A runner of a script that does the deed, and its first child."""
    version = script(Attack("reply", deed, sign=bool).source(), limits=limits, tier=tier)
    zygotes = processes_of(laboratory.base("std"))
    with laboratory.children(version) as (children, zygote):
        first = processes_of(laboratory.base("std")) - zygotes - {zygote.pid}
        yield StrictScriptRunner(version, children, zygote.entry_point), first
