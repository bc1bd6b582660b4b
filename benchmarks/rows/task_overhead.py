"""100 tasks that do nothing, one after the other, from the run's being asked for to its end.

Overhead is what a run takes beyond the same functions called directly, per task. Each of ours is a call of a script in
a locked child of its own, journalled in the records database. `penstock run`: the worker is in the process that asks,
and warm. `penstock up`: the run is asked for over HTTP, and its end is heard of by its events. Medians of five runs,
the first is left out. The peers: functions in their own process or worker, without a sandbox, warm as well; Airflow's
chain once, the others' median of three.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from benchmarks import orchestrators, pipelines
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure, number
from benchmarks.timing import elapsed_s, median

NUMBER: Final = 48
TITLE: Final = "overhead of a task: 100 in a chain"


def measure(*, quick: bool) -> list[Figure]:
    """Return what a task costs beyond what it does, here and by others."""
    count, rounds = (3, 1) if quick else (orchestrators.LONG, 5)
    bare_s = _bare_s(count)
    with pipelines.here(pipelines.chain(count)) as runs:
        here_ms = _overhead_ms(runs, count, rounds, bare_s)
    with pipelines.on_a_server(pipelines.chain(count)) as runs:
        server_ms = _overhead_ms(runs, count, rounds, bare_s)
    figures = [Figure("a task, `penstock run`", here_ms, "ms"), Figure("a task, `penstock up`", server_ms, "ms")]
    return figures if quick else [*figures, *_beside(here_ms, server_ms)]


def _overhead_ms(runs: pipelines.Runs, count: int, rounds: int, bare_s: float) -> float:
    runs.run_s(again=True)
    return (median([runs.run_s(again=True) for _ in range(rounds)]) - bare_s) / count * 1e3


def _bare_s(count: int) -> float:
    functions: dict[str, Any] = {}
    exec(pipelines.SCRIPT, functions)  # the script of the tasks, which is ours
    given = {"date": None, "params": {}, "item": None}
    return elapsed_s(lambda: [functions["process"](given) for _ in range(count)])


def _beside(here_ms: float, server_ms: float) -> Iterator[Figure]:
    theirs = {}
    for peer in orchestrators.PEERS:
        try:
            theirs[peer] = orchestrators.measured(peer)[orchestrators.LONG].overhead_ms
            yield Figure(f"a task, {peer}", theirs[peer], "ms")
        except PeerMissing as missing:
            yield Figure(f"a task, {peer}", 0.0, "ms", str(missing))
    if theirs:
        best = min(theirs, key=lambda peer: theirs[peer])
        for name, ours_ms in (("`penstock run`", here_ms), ("`penstock up`", server_ms)):
            how = f"{number(theirs[best])} ms / {number(ours_ms)} ms"
            yield Figure(f"{name}: less than {best}, the best", theirs[best] / ours_ms, "x", how, at_least=10)
