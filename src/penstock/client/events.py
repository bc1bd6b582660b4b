"""Reads server-sent events. Source: html.spec.whatwg.org, section 9.2.6."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from penstock.core.errors import ServerUnavailable

_EVENT_BYTES_MAX: Final = 2**20


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    kind: str
    id: str
    data: str


def read_events(blocks: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a stream; comments are heartbeats, and say nothing.

    Raises:
        ServerUnavailable: when an event has no end.
    """
    rest = b""
    for block in blocks:
        rest = (rest + block).replace(b"\r\n", b"\n")
        *whole, rest = rest.split(b"\n\n")
        if len(rest) > _EVENT_BYTES_MAX:
            raise ServerUnavailable("an event of the server has no end", hint="Try again.")
        for text in whole:
            fields = [line.partition(":") for line in text.decode("utf-8", "replace").split("\n")]
            named = {name: value.removeprefix(" ") for name, _, value in fields if name}
            if "data" in named:
                yield Event(named.get("event", "message"), named.get("id", ""), named["data"])
