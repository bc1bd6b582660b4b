"""What the pieces of the lake share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock.core.ports import Clock, Database
from penstock.core.tables import FileFacts
from penstock.storage.tables.catalog import Catalog
from penstock.storage.tables.leases import Leases


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pieces of the lake share.

    Attributes:
        footer: reads the footer of a Parquet file; where that file is not trusted, in a locked child.
        step: told of each step that a kill may follow; tests kill there.
    """

    database: Database
    catalog: Catalog
    leases: Leases
    clock: Clock
    footer: Callable[[Path], FileFacts]
    step: Callable[[str], None]
