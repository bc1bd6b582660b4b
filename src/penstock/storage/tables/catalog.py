"""The Iceberg catalog: where each table's current metadata is, in a SQLite file of its own or in PostgreSQL."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.transforms import IdentityTransform
from sqlalchemy.exc import DBAPIError, IntegrityError

from penstock.base.disks import FULL, ROOM_HINT, said
from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.columns import Column, refusal
from penstock.core.errors import LakeUnavailable, SettingInvalid
from penstock.core.tables import TableName
from penstock.storage.tables.local_io import make_folder
from penstock.storage.tables.types import iceberg_schema

_NAME: Final = "penstock"  # of the catalog, in its rows
_BUSY_S: Final = 60
_TABLES_KNOWN: Final = 64
_HINT: Final = "Look at the catalog's database, the disk's space and the object store; nothing was published."
_PARTITION_TYPES: Final = ("date", "int", "long", "string", "boolean")
_FIRST_PARTITION_ID: Final = 1_000
_PROPERTIES: Final[Mapping[str, str]] = {
    "format-version": "2",
    # Every commit writes all metadata anew: without these two, 305 days leave 65 MB of it behind.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    # For other programs that write to the table; our own commits merge by themselves.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": str(limits.LAKE_MANIFESTS.value),
}

logging.getLogger("pyiceberg").setLevel(logging.ERROR)  # what it warns of, such as retries, is ours to report


class _Remembering(SqlCatalog):
    """A SQL catalog that parses a metadata file once: the file under one name never changes."""

    def __init__(self, name: str, **properties: str) -> None:
        self._known: dict[str, TableMetadata] = {}
        self._guard = threading.Lock()
        super().__init__(name, **properties)

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        """Commit, and remember what was written."""
        response = super().commit_table(table, requirements, updates)
        self._remember(response.metadata_location, response.metadata)
        return response

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        location = orm_table.metadata_location or ""
        with self._guard:
            known = self._known.get(location)
        if known is None:
            table = super()._convert_orm_to_iceberg(orm_table)
            self._remember(table.metadata_location, table.metadata)
            return table
        return Table(
            identifier=(*self.identifier_to_tuple(orm_table.table_namespace), orm_table.table_name),
            metadata=known,
            metadata_location=location,
            io=load_file_io(self.properties, location),
            catalog=self,
        )

    def _remember(self, location: str, metadata: TableMetadata) -> None:
        with self._guard:
            self._known[location] = metadata
            if len(self._known) > _TABLES_KNOWN:
                del self._known[next(iter(self._known))]


class Catalog:
    """Every table of every workspace.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.
        warehouse: an absolute folder, or `s3://bucket/prefix`.
        s3: what pyiceberg takes, such as `s3.endpoint`; credentials come from the environment.

    Raises:
        LakeUnavailable: when the catalog cannot be opened.
    """

    def __init__(self, url: str, warehouse: str, *, s3: Mapping[str, str] | None = None) -> None:
        self.warehouse = warehouse.rstrip("/")
        self.local = not self.warehouse.startswith("s3://")
        if self.local and (not Path(self.warehouse).is_absolute() or set(self.warehouse) & set("*?[")):
            raise SettingInvalid(
                f"the lake's folder is {warehouse!r}",
                hint="Give an absolute path without * ? and [, which engines read as patterns; or s3://bucket/prefix.",
            )
        with reporting():
            if url.startswith("sqlite:///"):
                make_folder(Path(url.removeprefix("sqlite:///")).parent)
            # A connection that a restart of the server has cut is found before it is used.
            ping = str(not url.startswith("sqlite:")).lower()
            self._sql = _opened(uri=url, warehouse=self.warehouse, pool_pre_ping=ping, **self._files(s3 or {}))
            if url.startswith("sqlite:"):
                sqlalchemy.event.listen(self._sql.engine, "connect", _prepare)
                self._sql.engine.dispose()
        self._namespaces: set[tuple[str, ...]] = set()

    def load(self, workspace: WorkspaceId, name: TableName) -> Table | None:
        """Return a table as it is now, with its metadata; None when there is none."""
        try:
            with reporting():
                return self._sql.load_table(self._identifier(workspace, name))
        except NoSuchTableError:
            return None

    def create(
        self, workspace: WorkspaceId, name: TableName, columns: tuple[Column, ...], partition_by: tuple[str, ...]
    ) -> Table:
        """Return a new table; or the one that somebody else has just made."""
        identifier = self._identifier(workspace, name)
        schema = iceberg_schema(columns, schema_id=0)
        location = f"{self.warehouse}/{workspace}/{name.replace('.', '/')}-{new_id('t')[2:].lower()}"
        with reporting():
            self._make_namespace(identifier[:-1])
            try:
                return self._sql.create_table(
                    identifier,
                    schema,
                    location=location,
                    partition_spec=partition_spec(schema, partition_by),
                    properties=dict(_PROPERTIES),
                )
            except TableAlreadyExistsError:
                return self._sql.load_table(identifier)

    def files(self) -> FileIO:
        """Return what reads and writes the warehouse's files."""
        return load_file_io(self._sql.properties, self.warehouse)

    def close(self) -> None:
        """Close every connection."""
        self._sql.engine.dispose()

    def _identifier(self, workspace: WorkspaceId, name: TableName) -> tuple[str, str, str]:
        layer, table = name.split(".")
        return (workspace, layer, table)

    def _make_namespace(self, namespace: tuple[str, ...]) -> None:
        if namespace not in self._namespaces:
            with contextlib.suppress(NamespaceAlreadyExistsError, IntegrityError):  # somebody else was faster
                self._sql.create_namespace(namespace)
            self._namespaces.add(namespace)

    def _files(self, s3: Mapping[str, str]) -> dict[str, str]:
        if self.local:
            return {"py-io-impl": "penstock.storage.tables.local_io.DurableFiles"}
        timeout = str(limits.LAKE_REQUEST.value)
        bounds = {"s3.connect-timeout": "3", "s3.request-timeout": timeout}
        return {"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO", **bounds, **s3}


def partition_spec(schema: Schema, partition_by: tuple[str, ...], *, spec_id: int = 0) -> PartitionSpec:
    """Return how a table is partitioned: by the values of columns, as they are.

    Raises:
        SchemaRefused: when there is no such column, or its type cannot be partitioned by.
    """
    if not partition_by:
        return UNPARTITIONED_PARTITION_SPEC
    fields, problems = [], []
    for position, name in enumerate(partition_by):
        column = next((field for field in schema.fields if field.name == name), None)
        if column is None:
            problems.append((name, "the table is partitioned by it, but there is no such column"))
        elif str(column.field_type) not in _PARTITION_TYPES:
            problems.append((name, f"a table is partitioned by {', '.join(_PARTITION_TYPES)}, not {column.field_type}"))
        else:
            fields.append(
                PartitionField(
                    source_id=column.field_id,
                    field_id=_FIRST_PARTITION_ID + position,
                    transform=IdentityTransform(),
                    name=name,
                )
            )
    if problems:
        raise refusal(problems)
    return PartitionSpec(*fields, spec_id=spec_id)


def _opened(**properties: str) -> _Remembering:
    """Return the catalog, with its tables; another process may be making them at this very moment."""
    try:
        return _Remembering(_NAME, **properties)
    except DBAPIError:
        return _Remembering(_NAME, **properties)


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Turn what the catalog's database and the files raise into an error of ours.

    Raises:
        LakeUnavailable: when they cannot be used now.
    """
    try:
        yield
    except DBAPIError as error:
        words = str(error.orig) if isinstance(error.orig, sqlite3.Error) else type(error.orig).__name__
        raise _unavailable(f"its catalog fails: {words}") from error
    except OSError as error:
        raise _unavailable(said(error), hint=ROOM_HINT if error.errno in FULL else _HINT) from error


def _unavailable(what: str, *, hint: str = _HINT) -> LakeUnavailable:
    return LakeUnavailable(f"the lake cannot be used now: {what}", hint=hint, retry_after_s=2)


def _prepare(connection: Any, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        for pragma in (f"busy_timeout = {_BUSY_S * 1000}", "journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
