"""Which certificates are trusted: those of a project's file, or the usual ones."""

from __future__ import annotations

import os
from pathlib import Path

import certifi

from penstock.connectors.databases import DatabaseSettings
from penstock.core.ports import PipelineContext


def ca_file(settings: DatabaseSettings, ctx: PipelineContext) -> Path:
    """Return a file of the certificates to trust.

    Raises:
        NotFound: when the project does not have the file that the connection names.
    """
    if settings.ca is None:
        return Path(os.environ.get("SSL_CERT_FILE") or certifi.where())
    path = ctx.staging / "ca.pem"
    if not path.exists():
        path.write_bytes(ctx.file(settings.ca))
    return path
