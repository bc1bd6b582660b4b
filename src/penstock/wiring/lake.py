"""The lake put together: its catalog and warehouse, and the locked children that touch what is in its files."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.core.ports import Clock, Database, Lake
from penstock.core.settings import Settings

if TYPE_CHECKING:
    from penstock.sandbox.heavy import HeavySandbox
    from penstock.sandbox.strict import StrictSandbox
    from penstock.storage.tables.catalog import Catalog
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
        LakeUnavailable: when the catalog cannot be opened, or is not that of the records.
        SettingInvalid: when the warehouse is neither.
    """
    from penstock.sandbox.footers import LockedFooters
    from penstock.sandbox.rewriting import LockedRewrite
    from penstock.storage.tables.belonging import require_both
    from penstock.storage.tables.lake import IcebergLake

    folder = home.absolute() / "lake"
    catalog_url = catalog_url or f"sqlite:///{folder / 'catalog.db'}"
    warehouse = warehouse or str(folder / "warehouse")
    s3 = {"s3.endpoint": s3_endpoint, "s3.region": s3_region}

    def catalog() -> Catalog:
        from penstock.storage.tables.catalog import Catalog  # with pyiceberg and pyarrow, half a second

        opened = Catalog(
            catalog_url,
            warehouse,
            s3={name: value for name, value in s3.items() if value},
        )
        stack.callback(opened.close)
        return opened

    require_both(
        database,
        catalog=Path(catalog_url.removeprefix("sqlite:///")) if catalog_url.startswith("sqlite:") else None,
        warehouse=None if warehouse.startswith("s3://") else Path(warehouse),
    )
    with contextlib.ExitStack() as stack:
        footers = stack.enter_context(contextlib.closing(LockedFooters(strict)))
        lake = IcebergLake(database, catalog, clock, footers=footers, rewrite=LockedRewrite(heavy))
        lake.recover()
        yield lake


class LazyLake:
    """A lake that is opened when somebody first needs it: then what a kill has left half-way is finished."""

    def __init__(self, opening: Callable[[], contextlib.AbstractContextManager[IcebergLake]]) -> None:
        self._opening = opening
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._lake: IcebergLake | None = None

    def __getattr__(self, name: str) -> Any:
        """Return a method of the lake."""
        with self._lock:
            if self._lake is None:
                self._lake = self._stack.enter_context(self._opening())
        return getattr(self._lake, name)

    def close(self) -> None:
        """Close the lake, if it was opened."""
        self._stack.close()


@contextlib.contextmanager
def lazy_lake(
    settings: Settings, database: Database, clock: Clock, *, strict: StrictSandbox, heavy: HeavySandbox
) -> Iterator[Lake]:
    """Give the lake that settings say, and close it at the end."""
    lake = LazyLake(
        partial(
            open_lake,
            database,
            clock,
            strict=strict,
            heavy=heavy,
            home=Path(settings.home),
            warehouse=settings.warehouse,
            catalog_url=settings.catalog_url,
            s3_endpoint=settings.s3_endpoint,
        )
    )
    with contextlib.closing(lake):
        yield lake
