"""Reads server-sent events. Source: html.spec.whatwg.org, section 9.2.6."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from penstock.core.errors import ServerUnavailable

_EVENT_BYTES_MAX: Final = 2**26  # a run of 2,000 tasks with its checks


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
    rest, half = bytearray(), b""
    for block in blocks:
        text = half + block
        half = b"\r" if text.endswith(b"\r") else b""  # the end of the line may come with the next block
        searched = max(len(rest) - 1, 0)
        rest += text.removesuffix(b"\r").replace(b"\r\n", b"\n")
        while (end := rest.find(b"\n\n", searched)) >= 0:
            said, searched = rest[:end].decode("utf-8", "replace"), 0
            del rest[: end + 2]
            if (event := _event(said)) is not None:
                yield event
        if len(rest) > _EVENT_BYTES_MAX:
            raise ServerUnavailable("an event of the server has no end", hint="Try again.")


def _event(text: str) -> Event | None:
    fields = [line.partition(":") for line in text.split("\n")]
    named = {name: value.removeprefix(" ") for name, _, value in fields if name}
    if "data" not in named:
        return None
    return Event(named.get("event", "message"), named.get("id", ""), named["data"])
