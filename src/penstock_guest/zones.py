"""Time zones behind the lock: their data is read before it, because `ZoneInfo(...)` would open a file."""

from __future__ import annotations

import io
import os
import zoneinfo
from typing import IO


def load() -> None:
    """Read the zone data of this machine, and let zoneinfo take it from memory."""
    data = dict(_read_all())

    def from_memory(key: str) -> IO[bytes]:
        try:
            return io.BytesIO(data[key])
        except KeyError:
            raise zoneinfo.ZoneInfoNotFoundError(f"no time zone found with key {key}") from None

    zoneinfo.reset_tzpath(to=())
    vars(zoneinfo)["_common"].load_tzdata = from_memory  # both implementations of ZoneInfo look it up there


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
