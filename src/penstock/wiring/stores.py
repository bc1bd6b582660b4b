"""Where blobs are kept that are no rows of the database."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from penstock.core.ports import Blobs
from penstock.core.settings import Settings
from penstock.storage.blobs.local import LocalBlobs

_S3: Final = "s3://"


def open_store(settings: Settings) -> Blobs:
    """Return where blobs are kept that are no rows of the database."""
    if settings.blobs.startswith(_S3):
        from penstock.storage.blobs.s3 import S3Blobs

        return S3Blobs(settings.blobs, endpoint=settings.s3_endpoint)
    return LocalBlobs(Path(settings.blobs))
