"""Tasks of fibo(10) one after the other in one Prefect flow; prints how long the second run took, in seconds."""

from __future__ import annotations

import json
import sys
import time

from prefect import flow, task


@task
def fibo(n: int) -> int:
    """Return a Fibonacci number."""
    return n if n <= 1 else fibo.fn(n - 1) + fibo.fn(n - 2)


@flow
def chain(times: int) -> float:
    """Return how long so many tasks take, one after the other."""
    began_s = time.monotonic()
    for _ in range(times):
        assert fibo(10) == 55
    return time.monotonic() - began_s


if __name__ == "__main__":
    chain(2)
    print(json.dumps({"elapsed_s": chain(int(sys.argv[1]))}))
