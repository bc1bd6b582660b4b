"""Places for queries: as many as a process has, and one of them is never the same workspace's."""

from __future__ import annotations

import threading

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.usecases.tables import QueryPlaces

OURS, THEIRS = WorkspaceId("ws_1"), WorkspaceId("ws_2")


def test_a_workspace_leaves_a_place_to_others():
    places = QueryPlaces()
    assert all(places.take(OURS, wait_s=0) for _ in range(limits.QUERIES_WORKSPACE.value))
    assert not places.take(OURS, wait_s=0)
    assert places.take(THEIRS, wait_s=0)
    assert not places.take(THEIRS, wait_s=0)
    assert places.taken(OURS) == (limits.QUERIES.value, limits.QUERIES_WORKSPACE.value)
    places.free(OURS)
    assert places.take(THEIRS, wait_s=0)
    assert not places.take(OURS, wait_s=0)


def test_who_waits_has_the_place_once_it_is_free():
    places = QueryPlaces()
    while places.take(OURS, wait_s=0):
        pass
    taken = threading.Event()

    def wait() -> None:
        if places.take(OURS, wait_s=10):
            taken.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    places.free(OURS)
    assert taken.wait(5)
    waiting.join(5)
