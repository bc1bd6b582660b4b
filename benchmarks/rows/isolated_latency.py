"""Open loop, 100 runs a second for 60 s, children replenished meanwhile; peers between the rounds, 20 processes each.

A run is one record in and one out through a parked child. A peer is a process that starts, calls the same function
once, and ends: it reads and writes nothing. Nothing is pinned.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from typing import Final

from benchmarks import machine, sandboxed
from benchmarks.figures import Figure, number
from benchmarks.open_loop import latencies_s
from benchmarks.timing import elapsed_s, median, quantile

NUMBER: Final = 1
TITLE: Final = "isolated run of a trivial script"
_PER_S: Final = 100
_PYTHON: Final = [machine.python(), "-I", "-S", "-c", "def process(data): return data\nprocess({'a': 1})"]
_PEERS: Final = {
    "python3 -I -S": _PYTHON,
    "bwrap + python3": ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", *_PYTHON],
    "node": ["node", "-e", "(() => { function process(data) { return data } return process({a: 1}) })()"],
}
_AIMS: Final = {"python3 -I -S": 50.0}


def measure(*, quick: bool) -> list[Figure]:
    """Return quantiles of the added latency, and how many times longer each peer takes."""
    rounds, seconds, starts = (1, 0.5, 3) if quick else (6, 10, 20)
    ours: list[float] = []
    peers: dict[str, list[float]] = {name: [] for name, command in _PEERS.items() if _works(command)}
    with sandboxed.opened(sandboxed.TRIVIAL_PYTHON) as runner:
        for _ in range(rounds):
            ours += latencies_s(lambda: sandboxed.run(runner), per_s=_PER_S, seconds=seconds)
            for name, taken in peers.items():
                taken += [elapsed_s(partial(_start, _PEERS[name])) for _ in range(starts)]
    p50 = median(ours) * 1e3
    return [
        Figure("added p50", p50, "ms"),
        Figure("added p99", quantile(ours, 0.99) * 1e3, "ms"),
        *(_beside(name, median(taken) * 1e3, p50) for name, taken in peers.items()),
    ]


def _beside(name: str, peer_ms: float, ours_ms: float) -> Figure:
    how = f"p50 {number(peer_ms)} ms / {number(ours_ms)} ms"
    return Figure(f"faster than {name}", peer_ms / ours_ms, "x", how, at_least=_AIMS.get(name))


def _works(command: list[str]) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


def _start(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
