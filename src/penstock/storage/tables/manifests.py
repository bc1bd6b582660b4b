"""Snapshots as Iceberg stores them: a list of manifests, each a list of data files.

A new snapshot is always the one before, less some files, plus some files. The manifests that hold none of the files
that go are taken over as they are; so a commit costs what it changes, not what the table holds. When there are too
many manifests they are merged, or a table that is written daily would be slower to read every day.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pyiceberg.conversions import from_bytes
from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, SnapshotSummaryCollector, Summary, update_snapshot_summaries

from penstock.core import limits
from penstock.core.errors import TableUnreadable
from penstock.core.tables import Partition, SnapshotId

_FORMAT: Final = 2
_CODEC: Final = "deflate"
_MANIFEST_BYTES: Final = 8 * 2**20  # what merging makes of many; a larger one is left alone

Replaced = Literal["nothing", "everything"] | frozenset[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Change:
    """What a new snapshot has that its parent has not.

    Attributes:
        parent: what it stands on in the table's history; None for the first of a table.
        start: the snapshot that it is made from, when that is another: the last one of the same run, which goes.
        added: files that come.
        replaced: what goes: nothing, everything, or the files of some partitions (dates as days since 1970).
        paths: files that go one by one, whatever their partition.
        properties: kept with the snapshot.
        same_rows: whether the rows stay what they are, in other files.
    """

    parent: SnapshotId | None
    added: Sequence[DataFile]
    schema: Schema
    spec: PartitionSpec
    replaced: Replaced = "nothing"
    paths: frozenset[str] = frozenset()
    properties: Mapping[str, str] | None = None
    same_rows: bool = False
    start: SnapshotId | None = None

    @property
    def origin(self) -> SnapshotId | None:
        """The snapshot whose files it has, but for what changes."""
        return self.parent if self.start is None else self.start


def live_files(
    table: Table, snapshot: SnapshotId | None, *, partitions: Collection[Partition] | None = None
) -> Iterator[DataFile]:
    """Yield the data files of a snapshot.

    Args:
        table: with current metadata.
        snapshot: of this table; None has no files.
        partitions: only of these (dates as days since 1970).

    Raises:
        TableUnreadable: when rows are deleted by files beside the data.
    """
    wanted = None if partitions is None else frozenset(partitions)
    for manifest in _manifests(table, snapshot):
        if wanted is None or _may_hold(table, manifest, wanted):
            for entry in manifest.fetch_manifest_entry(table.io):
                file = entry.data_file
                other = file.spec_id != table.metadata.default_spec_id  # written by another program
                if wanted is None or other or partition_values(file) in wanted:
                    yield file


def write_snapshot(table: Table, change: Change) -> Snapshot:
    """Write the files of a new snapshot and return it; nothing refers to it yet."""
    return _Writer(table, change).write()


def partition_values(file: DataFile) -> tuple[Any, ...]:
    """Return a file's partition as it is stored: dates as days since 1970."""
    return tuple(file.partition[position] for position in range(len(file.partition)))


def _manifests(table: Table, snapshot_id: SnapshotId | None) -> list[ManifestFile]:
    """Return the manifests of a snapshot that have any file left."""
    snapshot = None if snapshot_id is None else table.metadata.snapshot_by_id(snapshot_id)
    if snapshot is None:
        assert snapshot_id is None, f"{snapshot_id} is no snapshot of {table.name()}"
        return []
    manifests = [one for one in snapshot.manifests(table.io) if one.has_added_files() or one.has_existing_files()]
    if any(one.content == ManifestContent.DELETES for one in manifests):
        raise TableUnreadable(
            f"{'.'.join(table.name()[1:])} has delete files, written by another program",
            hint="Compact it with that program, so that no delete files are left.",
        )
    return manifests


def _may_hold(table: Table, manifest: ManifestFile, partitions: Iterable[tuple[Any, ...]]) -> bool:
    spec = table.metadata.specs()[manifest.partition_spec_id]
    if spec.spec_id != table.metadata.default_spec_id or not spec.fields or not manifest.partitions:
        return True
    kinds: list[Any] = [field.field_type for field in spec.partition_type(table.metadata.schema()).fields]
    bounds = [
        (
            None if one.lower_bound is None else from_bytes(kind, one.lower_bound),
            None if one.upper_bound is None else from_bytes(kind, one.upper_bound),
        )
        for kind, one in zip(kinds, manifest.partitions, strict=True)
    ]
    return any(
        all(
            value is None or low is None or high is None or low <= value <= high
            for value, (low, high) in zip(partition, bounds, strict=True)
        )
        for partition in partitions
    )


class _Writer:
    def __init__(self, table: Table, change: Change) -> None:
        self.table = table
        self.io: FileIO = table.io
        self.change = change
        self.snapshot_id = table.metadata.new_snapshot_id()
        self.sequence = table.metadata.next_sequence_number()
        self.summary = SnapshotSummaryCollector()
        self._name = uuid.uuid4()
        self._count = 0

    def write(self) -> Snapshot:
        kept = list(self._kept())
        manifests = [*self._added(), *self._merged(kept)]
        location = self._location(f"snap-{self.snapshot_id}-0-{self._name}.avro")
        with write_manifest_list(
            format_version=_FORMAT,
            output_file=self.io.new_output(location),
            snapshot_id=self.snapshot_id,
            parent_snapshot_id=self.change.parent,
            sequence_number=self.sequence,
            avro_compression=_CODEC,
        ) as writer:
            writer.add_manifests(manifests)
        fields: dict[str, Any] = {
            "snapshot_id": self.snapshot_id,
            "parent_snapshot_id": self.change.parent,
            "sequence_number": self.sequence,
            "manifest_list": location,
            "summary": self._summary(),
            "schema_id": self.change.schema.schema_id,
        }
        return Snapshot(**fields)

    def _added(self) -> Iterator[ManifestFile]:
        if self.change.added:
            entries = [self._entry(ManifestEntryStatus.ADDED, file) for file in self.change.added]
            for file in self.change.added:
                self.summary.add_file(file, self.change.schema, self.change.spec)
            yield self._manifest(self.change.spec, entries)

    def _kept(self) -> Iterator[ManifestFile]:
        """Yield the parent's manifests, those with files that go written anew."""
        goes = self._goes()
        for manifest in _manifests(self.table, self.change.origin):
            if goes is None or not self._concerned(manifest):
                yield manifest
                continue
            entries = manifest.fetch_manifest_entry(self.io)
            gone = [entry for entry in entries if goes(entry.data_file)]
            if not gone:
                yield manifest
                continue
            spec = self.table.metadata.specs()[manifest.partition_spec_id]
            for entry in gone:
                self.summary.remove_file(entry.data_file, self.change.schema, spec)
            removed = {entry.data_file.file_path for entry in gone}
            stay = [entry for entry in entries if entry.data_file.file_path not in removed]
            # Files that went are named once more, in this snapshot only: it is how other programs see the change.
            yield self._manifest(
                spec,
                [self._again(ManifestEntryStatus.EXISTING, entry) for entry in stay]
                + [self._again(ManifestEntryStatus.DELETED, entry) for entry in gone],
            )

    def _goes(self) -> Callable[[DataFile], bool] | None:
        replaced, paths = self.change.replaced, self.change.paths
        if replaced == "everything":
            return lambda _file: True
        if replaced == "nothing":
            return (lambda file: file.file_path in paths) if paths else None
        spec_id = self.change.spec.spec_id

        def goes(file: DataFile) -> bool:
            if file.spec_id != spec_id:
                raise TableUnreadable(
                    "the table has files that another program has partitioned in another way",
                    hint="Replace the whole table, or rewrite it with that program.",
                )
            return partition_values(file) in replaced or file.file_path in paths

        return goes

    def _concerned(self, manifest: ManifestFile) -> bool:
        if isinstance(self.change.replaced, str) or self.change.paths:
            return True
        return _may_hold(self.table, manifest, self.change.replaced)

    def _merged(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        if len(manifests) < limits.LAKE_MANIFESTS.value:
            return manifests
        spec_id = self.change.spec.spec_id
        small = [
            one
            for one in manifests
            if one.partition_spec_id == spec_id
            and one.manifest_length < _MANIFEST_BYTES
            and one.added_snapshot_id != self.snapshot_id  # it says what this snapshot removes
        ]
        if len(small) < limits.LAKE_MANIFESTS.value // 2:
            return manifests
        entries = [
            self._again(ManifestEntryStatus.EXISTING, entry)
            for manifest in small
            for entry in manifest.fetch_manifest_entry(self.io)
        ]
        return [*(one for one in manifests if one not in small), self._manifest(self.change.spec, entries)]

    def _manifest(self, spec: PartitionSpec, entries: list[ManifestEntry]) -> ManifestFile:
        location = self._location(f"{self._name}-m{self._count}.avro")
        self._count += 1
        with write_manifest(
            format_version=_FORMAT,
            spec=spec,
            schema=self.change.schema,
            output_file=self.io.new_output(location),
            snapshot_id=self.snapshot_id,
            avro_compression=_CODEC,
        ) as writer:
            for entry in entries:
                writer.add_entry(entry)
        return writer.to_manifest_file()

    def _entry(self, status: ManifestEntryStatus, file: DataFile) -> ManifestEntry:
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=self.snapshot_id,
            sequence_number=None,  # that of the snapshot
            file_sequence_number=None,
            data_file=file,
        )

    def _again(self, status: ManifestEntryStatus, entry: ManifestEntry) -> ManifestEntry:
        gone = status == ManifestEntryStatus.DELETED
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=self.snapshot_id if gone else entry.snapshot_id,
            sequence_number=entry.sequence_number,
            file_sequence_number=entry.file_sequence_number,
            data_file=entry.data_file,
        )

    def _summary(self) -> Summary:
        numbers = self.summary.build()
        origin = self.change.origin
        before = None if origin is None else self.table.metadata.snapshot_by_id(origin)
        removes = "deleted-data-files" in numbers
        summary = update_snapshot_summaries(
            Summary(
                operation=Operation.OVERWRITE if removes else Operation.APPEND,
                **numbers,
                **(self.change.properties or {}),
            ),
            None if before is None or before.summary is None else before.summary.additional_properties,
        )
        if self.change.same_rows:
            return Summary(operation=Operation.REPLACE, **summary.additional_properties)
        return summary

    def _location(self, name: str) -> str:
        return f"{self.table.metadata.location}/metadata/{name}"
