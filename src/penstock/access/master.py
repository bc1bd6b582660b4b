"""The master key: 32 bytes that wrap every data key; where it comes from, and older ones that still unwrap."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock.core import limits
from penstock.core.errors import SettingInvalid

_BYTES: Final = 32
_FORMAT: Final = "Give 32 bytes in base64, as `openssl rand -base64 32` prints them; older keys after it, with commas."


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """The key that wraps, first, and older ones that only unwrap; each by its fingerprint."""

    keys: tuple[bytes, ...] = field(repr=False)

    @property
    def newest(self) -> str:
        """The fingerprint of the key that wraps."""
        return master_fingerprint(self.keys[0])

    def by_fingerprint(self, fingerprint: str) -> bytes | None:
        """Return a key."""
        return next((key for key in self.keys if master_fingerprint(key) == fingerprint), None)


def master_fingerprint(key: bytes) -> str:
    """Return what tells master keys apart and says nothing of them."""
    return hashlib.sha256(b"penstock master key\0" + key).hexdigest()[:16]


def load_master_keys(setting: str, *, home: Path, embedded: bool) -> MasterKeys:
    """Return the master keys: of the setting, or of a file in the home folder that is made when there is none.

    Args:
        setting: what PENSTOCK_MASTER_KEY says.
        home: the folder of a server that has its database beside it.
        embedded: whether it has; servers that share a database must be given the same key.

    Raises:
        SettingInvalid: when there is no key where one is needed, or what is there is none.
    """
    if setting.strip():
        return _parse(setting, place="PENSTOCK_MASTER_KEY")
    if not embedded:
        raise SettingInvalid(
            "PENSTOCK_MASTER_KEY is not set, and servers that share a database need one that all of them know",
            hint="Make one with `openssl rand -base64 32`, keep it safe, and set it on every host.",
        )
    path = home / "master.key"
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise SettingInvalid(f"{path} can be read by others than its owner", hint=f"Run: chmod 600 {path}")
    return _parse(path.read_text(), place=str(path))


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # a link appears whole, and only where nothing is: the first wins
            os.link(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink()


def _parse(text: str, *, place: str) -> MasterKeys:
    words = text.replace(",", " ").split()
    if not 1 <= len(words) <= limits.MASTER_KEYS.value:
        raise SettingInvalid(
            f"{place} has {len(words)} keys; 1 to {limits.MASTER_KEYS.value} are possible", hint=_FORMAT
        )
    return MasterKeys(tuple(_decode(word, place=place, number=number) for number, word in enumerate(words, 1)))


def _decode(word: str, *, place: str, number: int) -> bytes:
    try:
        key = base64.b64decode(word, validate=True)
    except binascii.Error:
        raise SettingInvalid(f"key {number} of {place} is not base64", hint=_FORMAT) from None
    if len(key) != _BYTES:
        raise SettingInvalid(f"key {number} of {place} has {len(key)} bytes; it must have {_BYTES}", hint=_FORMAT)
    return key
