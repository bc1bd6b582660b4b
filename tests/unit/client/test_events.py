"""Server-sent events are read however they are cut into blocks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.client.events import Event, read_events
from penstock.core.errors import ServerUnavailable

STREAM = (
    b'id: a\nevent: state\ndata: {"x":1}\n\n: heartbeat\n\n'
    b"id: b\r\nevent: progress\r\ndata: two\r\n\r\ndata: bare\n\ncut of"
)
EVENTS = [Event("state", "a", '{"x":1}'), Event("progress", "b", "two"), Event("message", "", "bare")]


@given(st.lists(st.integers(1, len(STREAM) - 1)))
def test_events_are_read_however_they_are_cut(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    blocks = [STREAM[start:end] for start, end in itertools.pairwise(edges)]
    assert list(read_events(blocks)) == EVENTS


def test_an_event_without_an_end_is_not_gathered_for_ever():
    with pytest.raises(ServerUnavailable):
        list(read_events(b"data: " + b"x" * 2**20 for _ in range(64)))
