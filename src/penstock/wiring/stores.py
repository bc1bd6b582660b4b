"""Where blobs are kept that are no rows of the database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from penstock.core.errors import SettingInvalid
from penstock.core.ports import Blobs
from penstock.core.settings import BLOBS, Settings
from penstock.storage.blobs.local import LocalBlobs

_S3: Final = "s3://"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def open_store(settings: Settings) -> Blobs:
    """Return where blobs are kept that are no rows of the database.

    Raises:
        SettingInvalid: when the setting names a kind of store that is not known.
    """
    if settings.blobs.startswith(_S3):
        from penstock.storage.blobs.s3 import S3Blobs

        return S3Blobs(settings.blobs, endpoint=settings.s3_endpoint)
    if scheme := _SCHEME.match(settings.blobs):
        raise SettingInvalid(
            f"{BLOBS.name} begins with {scheme[0]!r}, which is neither a folder nor S3",
            hint="Valid: a folder, or s3://bucket/prefix; other stores often speak S3, too: PENSTOCK_S3_ENDPOINT.",
        )
    return LocalBlobs(Path(settings.blobs))
