"""Looking at the processes below one, and waiting for things to come about."""

import time
from pathlib import Path

import pytest


def descendants_of(pid):
    """Return the numbers of all processes below one."""
    parents = {process: parent for process, (_, parent) in _table().items()}
    found: set[int] = set()
    left = [pid]
    while left:
        parent = left.pop()
        children = {child for child, of in parents.items() if of == parent} - found
        left += children
        found |= children
    return found


def still_there(pids, *, timeout_s=10.0):
    """Wait until the processes are gone, and return those that stay; one that only waits to be reaped is gone."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        table = _table()
        left = [pid for pid in pids if table.get(pid, ("Z", 0))[0] != "Z"]
        if not left or time.monotonic() > deadline_s:
            return left
        time.sleep(0.01)


def wait_for(look, *, timeout_s=30.0):
    """Return what is looked for as soon as it is there and true."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := look():
            return found
        time.sleep(0.01)
    pytest.fail("it did not come about in time")


def _table():
    """Return state and parent of every process."""
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue  # it has just gone
            table[int(entry.name)] = state, int(parent)
    return table
