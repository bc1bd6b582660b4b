"""Tasks that do nothing, one after the other in one Prefect flow: `python prefect_chain.py COUNT...`.

It prints, for each count, how long the flow took and how long the same functions take when they are called.
"""

from __future__ import annotations

import json
import sys
import time

from prefect import flow, task


@task
def step(value: int) -> int:
    """Pass on what came."""
    return value + 1


@flow
def chain(count: int) -> int:
    """Put the tasks one behind the other."""
    value = 0
    for _ in range(count):
        value = step(value)
    return value


def bare(count: int) -> int:
    """Call the same functions."""
    value = 0
    for _ in range(count):
        value = step.fn(value)
    return value


if __name__ == "__main__":
    chain(2)  # the first run starts its server
    found = []
    for count in map(int, sys.argv[1:]):
        began_s = time.perf_counter()
        assert chain(count) == count
        ran_s = time.perf_counter()
        assert bare(count) == count
        found.append({"count": count, "run_s": ran_s - began_s, "bare_s": time.perf_counter() - ran_s})
    print(json.dumps(found))
