"""Chunks through the sandbox, isolated and warm, beside the same script and loop in a plain process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks import machine, sandboxed
from benchmarks.timing import elapsed_s, median, tree_cpu_s
from penstock.core.scripts import Chunk, ScriptVersion
from penstock.sandbox import strict, zygotes
from penstock.sandbox.strict import StrictScriptRunner
from penstock_guest import wire

_PROGRAM: Final = Path(__file__).with_name("peers") / "plain_guest.py"
_SETTLE_S: Final = 0.05  # until the last seat has a parked child again, which belongs to what its run cost


@dataclass(slots=True)
class Costs:
    """What chunks cost in one of the ways."""

    latencies_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def latency_ms(self) -> float:
        """The median latency of a chunk."""
        return median(self.latencies_s) * 1e3

    @property
    def cpu_ms(self) -> float:
        """The CPU time of a chunk, all processes together."""
        return self.cpu_s / len(self.latencies_s) * 1e3

    def add(self, latencies_s: Sequence[float], cpu_s: float) -> None:
        """Count some more chunks."""
        self.latencies_s += latencies_s
        self.cpu_s += cpu_s


class Way(Protocol):
    """One way to run chunks."""

    def last_output(self, numbers: Sequence[int]) -> str:
        """Run chunks and return the SHA-256 of the last one's output."""

    def measure(self, numbers: Sequence[int], costs: Costs) -> None:
        """Run chunks and count what it cost."""


class Sandboxed:
    """Through the sandbox; the service's, the zygotes' and the children's time counts."""

    def __init__(self, runner: StrictScriptRunner, chunks: Sequence[Chunk], emit: str) -> None:
        self._runner, self._chunks, self._emit = runner, chunks, emit

    def last_output(self, numbers: Sequence[int]) -> str:
        """Run chunks and return the SHA-256 of the last one's output."""
        outputs = [self._run(number) for number in numbers]
        return hashlib.sha256(outputs[-1]).hexdigest()

    def measure(self, numbers: Sequence[int], costs: Costs) -> None:
        """Run chunks and count what it cost."""
        before_s = tree_cpu_s(os.getpid())
        latencies_s = [elapsed_s(partial(self._run, number)) for number in numbers]
        time.sleep(_SETTLE_S)
        costs.add(latencies_s, tree_cpu_s(os.getpid()) - before_s)

    def _run(self, number: int) -> bytes:
        return sandboxed.run(self._runner, self._chunks[number], emit=self._emit).output


class Plain:
    """In a plain process that has the chunks in its memory."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def last_output(self, numbers: Sequence[int]) -> str:
        """Run chunks and return the SHA-256 of the last one's output."""
        return str(self._ask(numbers)["last"])

    def measure(self, numbers: Sequence[int], costs: Costs) -> None:
        """Run chunks and count what it cost."""
        answer = self._ask(numbers)
        costs.add(answer["latencies_s"], answer["cpu_s"])

    def _ask(self, numbers: Sequence[int]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(list(numbers)) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def measure(script: ScriptVersion, chunks: Sequence[Chunk], *, emit: str, rounds: int, block: int) -> dict[str, Costs]:
    """Return the costs of each way, `isolated`, `warm` and `plain`, measured in turn.

    Args:
        script: isolated or not does not matter.
        chunks: run one after the other, again and again; every way must give the same bytes for them.
        emit: format of the output.
        rounds: how often each way has its turn.
        block: chunks in a turn.
    """
    costs = {"isolated": Costs(), "warm": Costs(), "plain": Costs()}
    with contextlib.ExitStack() as stack:
        isolated = stack.enter_context(sandboxed.opened(script))
        warm = stack.enter_context(sandboxed.opened(replace(script, tier="warm"), parallel=1))
        ways: dict[str, Way] = {
            "isolated": Sandboxed(isolated, chunks, emit),
            "warm": Sandboxed(warm, chunks, emit),
            "plain": stack.enter_context(_plain(script, chunks, emit)),
        }
        for number in range(len(chunks)):  # twice, so that each warm seat has seen one
            outputs = {way.last_output([number, number]) for way in ways.values()}
            assert len(outputs) == 1, f"chunk {number} does not come out the same"
        for turn in range(rounds):
            numbers = [(turn * block + index) % len(chunks) for index in range(block)]
            for name, way in ways.items():
                way.measure(numbers, costs[name])
    return costs


@contextlib.contextmanager
def _plain(script: ScriptVersion, chunks: Sequence[Chunk], emit: str) -> Iterator[Plain]:
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder, str(number)) for number in range(len(chunks) + 1)]
        for path, data in zip(parts, [script.source, *(chunk.payload for chunk in chunks)], strict=True):
            path.write_bytes(data)
        hello = {
            "paths": [str(Path(wire.__file__).parents[1]), *zygotes.library_paths()],
            "profile": script.profile,
            "spec": strict._script_spec(script),  # noqa: SLF001  # the same settings
            "parts": [str(path) for path in parts],
            "requests": [_request(chunk, emit) for chunk in chunks],
        }
        command = [machine.python(), "-s", "-P", "-S", str(_PROGRAM)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=dict(wire.ENVIRONMENT), **pipes) as process:
            assert process.stdin is not None
            process.stdin.write(json.dumps(hello) + "\n")
            yield Plain(process)


def _request(chunk: Chunk, emit: str) -> dict[str, Any]:
    return {
        "format": chunk.format,
        "input": chunk.input,
        "input_bytes": len(chunk.payload),
        "segments": chunk.segments,
        "seed": 1,
        "emit": emit,
        "skip": {},
        "careful": False,
    }
