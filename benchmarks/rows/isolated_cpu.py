"""All on one core, 5 rounds of 1,000 runs one after the other, then 1,000 bare forks of an equal version zygote.

What service, zygote and children use is counted: parking, locking, running, reaping, and the seat made ready again. A
bare fork is `os.fork`, `os._exit` in the child and `os.wait4`, in a zygote that has prepared the same script.
"""

from __future__ import annotations

import os
from typing import Final

from benchmarks import sandboxed
from benchmarks.bare import BareZygote, bare_zygote
from benchmarks.figures import Figure, number
from benchmarks.timing import elapsed_s, median, on_cores, tree_cpu_s
from penstock.sandbox.strict import StrictScriptRunner

NUMBER: Final = 2
TITLE: Final = "CPU of an isolated run, sustained"


def measure(*, quick: bool) -> list[Figure]:
    """Return what a run costs beside a bare fork, and how many a core does in a second."""
    rounds, times = (1, 200) if quick else (5, 1_000)
    script = sandboxed.TRIVIAL_PYTHON
    with on_cores(1), sandboxed.opened(script) as runner, bare_zygote(script) as bare:
        costs = [_round(runner, bare, times) for _ in range(rounds)]
    run_ms, fork_ms, run_s = (median(column) for column in zip(*costs, strict=True))
    ratio = median([run / fork for run, fork, _ in costs])
    how = f"{number(run_ms)} ms / {number(fork_ms)} ms"
    return [
        Figure("CPU of a run / a bare fork + exit + wait", ratio, "x", how, at_most=1.3),
        Figure("isolated runs a second and core", 1 / run_s, "/s"),
    ]


def _round(runner: StrictScriptRunner, bare: BareZygote, times: int) -> tuple[float, float, float]:
    before_s = tree_cpu_s(os.getpid())
    wall_s = elapsed_s(lambda: [sandboxed.run(runner) for _ in range(times)])
    cpu_s = tree_cpu_s(os.getpid()) - before_s
    return cpu_s / times * 1e3, bare.fork(times)["cpu_s"] / times * 1e3, wall_s / times
