"""The lake put together: its catalog and warehouse, and the locked children that touch what is in its files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.core.ports import Clock, Database

if TYPE_CHECKING:
    from penstock.sandbox.heavy import HeavySandbox
    from penstock.sandbox.strict import StrictSandbox
    from penstock.storage.tables.lake import IcebergLake


@contextlib.contextmanager
def open_lake(
    database: Database,
    clock: Clock,
    *,
    strict: StrictSandbox,
    heavy: HeavySandbox,
    home: Path,
    warehouse: str = "",
    catalog_url: str = "",
    s3_endpoint: str = "",
    s3_region: str = "",
) -> Iterator[IcebergLake]:
    """Open the lake, finish what a kill has left half-way, and close it at the end.

    Args:
        database: the records database.
        clock: gives seconds since 1970.
        strict: whose children read footers.
        heavy: whose children rewrite files.
        home: where catalog and warehouse are when nothing else is said.
        warehouse: a folder, or `s3://bucket/prefix`; S3's credentials come from the environment.
        catalog_url: `sqlite:///path`, or `postgresql+psycopg://...`, which may be the records database itself.
        s3_endpoint: the service's own URL when it is not Amazon's.
        s3_region: asked for from the service when it is not given.

    Raises:
        LakeUnavailable: when the catalog cannot be opened.
        SettingInvalid: when the warehouse is neither.
    """
    from penstock.sandbox.footers import LockedFooters
    from penstock.sandbox.rewriting import LockedRewrite
    from penstock.storage.tables.catalog import Catalog  # with pyiceberg and pyarrow, most of a second
    from penstock.storage.tables.lake import IcebergLake

    folder = home.absolute() / "lake"
    s3 = {"s3.endpoint": s3_endpoint, "s3.region": s3_region}
    catalog = Catalog(
        catalog_url or f"sqlite:///{folder / 'catalog.db'}",
        warehouse or str(folder / "warehouse"),
        s3={name: value for name, value in s3.items() if value},
    )
    with contextlib.closing(catalog), contextlib.closing(LockedFooters(strict)) as footers:
        lake = IcebergLake(database, catalog, clock, footers=footers, rewrite=LockedRewrite(heavy))
        lake.recover()
        yield lake
