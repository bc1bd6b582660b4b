"""Time zones behind the lock: their data is read before it, because `ZoneInfo(...)` would open a file."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import zoneinfo
from collections.abc import Iterable
from typing import IO


def load() -> None:
    """Read the zone data of this machine, and let zoneinfo take it from memory."""
    data = dict(_read_all())

    def from_memory(key: str) -> IO[bytes]:
        try:
            return io.BytesIO(data[key])
        except KeyError:
            raise zoneinfo.ZoneInfoNotFoundError(f"no time zone found with key {key}") from None

    _show_arrow(data)
    zoneinfo.reset_tzpath(to=())
    vars(zoneinfo)["_common"].load_tzdata = from_memory  # both implementations of ZoneInfo look it up there
    vars(zoneinfo)["available_timezones"] = lambda: set(data)


def _show_arrow(keys: Iterable[str]) -> None:
    """Let Arrow read each zone, where the profile has it: it would open their files when they are first used."""
    arrow = sys.modules.get("pyarrow.compute")
    if arrow is not None:
        moment = arrow.cast(0, "timestamp[s]")
        for key in keys:
            with contextlib.suppress(ValueError):  # it does not know them all
                arrow.assume_timezone(moment, key)


def _read_all() -> list[tuple[str, bytes]]:
    found: dict[str, str] = {}
    for root in zoneinfo.TZPATH:
        for folder, _, names in os.walk(root):
            key = os.path.relpath(folder, root)
            if key.split(os.sep)[0] not in ("posix", "right"):
                found |= {os.path.normpath(os.path.join(key, name)): os.path.join(folder, name) for name in names}
    return [(key, data) for key, path in found.items() if (data := _zone(path))]


def _zone(path: str) -> bytes | None:
    with open(path, "rb") as file:
        data = file.read()
    return data if data.startswith(b"TZif") else None
