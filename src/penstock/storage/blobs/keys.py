"""Which keys blobs may have: names that mean the same in a folder, in S3 and in a log."""

from __future__ import annotations

import re
from typing import Final

from penstock.core.errors import BlobNotFound, RequestInvalid

_SEGMENT: Final = r"[A-Za-z0-9_=+-][A-Za-z0-9_.=+-]{0,199}"  # no dot in front: neither `..` nor a hidden file
_KEY: Final = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*")
_PREFIX: Final = re.compile(f"(?:{_SEGMENT}/)*")
_KEY_BYTES_MAX: Final = 900  # S3 takes 1,024, its prefix included


def check_key(key: str) -> str:
    """Return a key that is valid.

    Raises:
        RequestInvalid: when it is not, so that no key reaches what lies outside of the store.
    """
    if len(key) <= _KEY_BYTES_MAX and _KEY.fullmatch(key):
        return key
    raise _invalid("key", key)


def check_prefix(prefix: str) -> str:
    """Return a prefix that is valid: empty, or whole segments that end with `/`."""
    if len(prefix) <= _KEY_BYTES_MAX and _PREFIX.fullmatch(prefix):
        return prefix
    raise _invalid("prefix", prefix)


def missing(key: str) -> BlobNotFound:
    """Return the error of a key with nothing under it."""
    return BlobNotFound(
        f"there is no blob {key}", hint="Look whether somebody has deleted it; restore it from a backup."
    )


def _invalid(what: str, text: str) -> RequestInvalid:
    return RequestInvalid(
        f"{text[:100]!r} is not a valid {what} of a blob",
        hint="Use segments of letters, digits and _ - . = + with / between them; none begins with a dot.",
    )
