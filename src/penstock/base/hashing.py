"""Fingerprints: one hash for the same content, whatever its order in memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Final


def fingerprint(*parts: Any) -> str:
    """Return the hexadecimal SHA-256 over plain values, mappings, sequences, bytes and dataclasses."""
    return hashlib.sha256(_encode(parts).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Fields one by one: asdict would copy deeply, and lose which class it was. No plain value has a key like this.
        return {
            f"\0{type(value).__name__}": [[item.name, getattr(value, item.name)] for item in dataclasses.fields(value)]
        }
    if isinstance(value, bytes):
        return {"\0bytes": hashlib.sha256(value).hexdigest()}
    raise TypeError(f"{type(value).__name__} has no fingerprint")


_encode: Final = json.JSONEncoder(default=_plain, sort_keys=True).encode
