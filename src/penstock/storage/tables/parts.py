"""What the pieces of the lake share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.core.ports import Clock, Database
from penstock.core.tables import FileFacts
from penstock.storage.tables.catalog import Catalog
from penstock.storage.tables.leases import Leases

Footers = Callable[[Sequence[Path]], Sequence[FileFacts]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pieces of the lake share.

    Attributes:
        footers: reads the footers of Parquet files; where these are not trusted, in a locked child.
        step: told of each step that a kill may follow; tests kill there.
    """

    database: Database
    catalog: Catalog
    leases: Leases
    clock: Clock
    footers: Footers
    step: Callable[[str], None]
