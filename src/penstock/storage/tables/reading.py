"""Reading a snapshot: which files, which columns; and refusing what files alone would show wrongly."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from pyiceberg.io import FileIO
from pyiceberg.table import Table

from penstock.core.columns import Column, spelled, without_ids
from penstock.core.errors import TableUnreadable
from penstock.core.tables import DataFile, Partition, Reading, SnapshotId, TableName
from penstock.storage.tables import commits
from penstock.storage.tables.catalog import reporting
from penstock.storage.tables.data_files import check_values, layout, stored_partitions
from penstock.storage.tables.manifests import live_files
from penstock.storage.tables.types import columns_of_iceberg

_MAPPING: Final = "schema.name-mapping.default"
_AT_ONCE: Final = 4
_BLOCK_BYTES: Final = 8 * 2**20


def read(
    table: Table, name: TableName, snapshot: SnapshotId, *, partitions: Collection[Partition] | None = None
) -> Reading:
    """Return a snapshot of a table as files and columns.

    Raises:
        TableUnreadable: when it cannot be read by files without the risk of being wrong.
        RequestInvalid: when the table has no such partitions.
    """
    columns = columns_of_iceberg(commits.schema_of(table, snapshot))
    _check_mapping(table, name)
    _check_nested(table, name, columns)
    how = {
        spec_id: layout(spec, columns_of_iceberg(table.metadata.schema()))
        for spec_id, spec in table.metadata.specs().items()
        if spec_id == table.metadata.default_spec_id
    }
    if partitions is not None:
        check_values(name, [field.name for field in table.metadata.spec().fields], partitions)
    wanted = None if partitions is None else stored_partitions(partitions)
    with reporting():
        files = [
            DataFile(
                path=file.file_path,
                rows=file.record_count,
                size_bytes=file.file_size_in_bytes,
                partition=how[file.spec_id].partition(file) if file.spec_id in how else (),
            )
            for file in live_files(table, snapshot, partitions=wanted)
        ]
    return Reading(
        table=name,
        snapshot=snapshot,
        columns=columns,
        files=tuple(sorted(files, key=lambda file: file.path)),
        partition_by=tuple(field.name for field in table.metadata.spec().fields),
    )


@contextlib.contextmanager
def fetched(reading: Reading, io: FileIO, folder: Path) -> Iterator[Reading]:
    """Give a reading whose files are in a local folder, fetched from where they are and removed afterwards."""
    places = [folder / f"{number:06d}-{file.path.rpartition('/')[2]}" for number, file in enumerate(reading.files)]
    try:
        with reporting(), ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lake-fetch") as threads:
            list(threads.map(_fetch, [io] * len(places), [file.path for file in reading.files], places))
        files = [replace(file, path=str(place)) for file, place in zip(reading.files, places, strict=True)]
        yield replace(reading, files=tuple(files))
    finally:
        for place in places:
            place.unlink(missing_ok=True)


def _fetch(io: FileIO, path: str, place: Path) -> None:
    with io.new_input(path).open() as source, place.open("xb") as target:
        while block := source.read(_BLOCK_BYTES):
            target.write(block)


def _check_mapping(table: Table, name: TableName) -> None:
    if _MAPPING in table.properties:
        raise TableUnreadable(
            f"{name} has files without field ids, added by another program",
            hint="Rewrite it with that program, so that every file carries the field ids.",
        )


def _check_nested(table: Table, name: TableName, columns: tuple[Column, ...]) -> None:
    """Make sure that a nested column has always been what it is: files show changed parts of one as null."""
    nested = {column.id: column for column in columns if not isinstance(column.type, str)}
    if not nested:
        return
    for schema in table.metadata.schemas:
        for column in columns_of_iceberg(schema):
            known = nested.get(column.id)
            if known is not None and without_ids(known.type) != without_ids(column.type):
                raise TableUnreadable(
                    f"{name}: the nested column {known.name!r} was {spelled(column.type)} and is {spelled(known.type)}",
                    hint="Rewrite the table with the program that has changed it.",
                )
