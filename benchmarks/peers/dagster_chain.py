"""Ops that do nothing, one after the other in one Dagster job: `python dagster_chain.py COUNT...`.

The job runs in this process with a recorded instance (SQLite in DAGSTER_HOME), which is the fastest way that it has. It
prints, for each count, how long a run took after the first one and how long the same functions take when called.
"""

from __future__ import annotations

import json
import sys
import time

from dagster import DagsterInstance, JobDefinition, job, op


def pass_on(value: int) -> int:
    """Pass on what came."""
    return value + 1


@op
def begin() -> int:
    """Begin the chain."""
    return pass_on(0)


@op
def step(value: int) -> int:
    """Go on with it."""
    return pass_on(value)


def chain(count: int) -> JobDefinition:
    """Put the ops one behind the other."""

    @job(name=f"chain_{count}")
    def made() -> None:
        value = begin()
        for number in range(1, count):
            value = step.alias(f"step_{number}")(value)

    return made


def bare(count: int) -> int:
    """Call the same functions."""
    value = 0
    for _ in range(count):
        value = pass_on(value)
    return value


if __name__ == "__main__":
    found = []
    with DagsterInstance.get() as instance:
        jobs = {count: chain(count) for count in map(int, sys.argv[1:])}
        for made in jobs.values():
            assert made.execute_in_process(instance=instance).success
        for count in map(int, sys.argv[1:]):
            made = jobs[count]
            began_s = time.perf_counter()
            assert made.execute_in_process(instance=instance).success
            ran_s = time.perf_counter()
            assert bare(count) == count
            found.append({"count": count, "run_s": ran_s - began_s, "bare_s": time.perf_counter() - ran_s})
    print(json.dumps(found))
