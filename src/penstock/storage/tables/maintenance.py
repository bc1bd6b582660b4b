"""The upkeep of a table: small files become few, old snapshots expire, and what nothing refers to is deleted."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow.fs
from pyiceberg.table import Table

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import Bug
from penstock.core.plan import RunId
from penstock.core.tables import DataFile, Maintained, Partition, Reading, SnapshotId, TableName
from penstock.database.statements import Statement
from penstock.storage.tables import commits, journal
from penstock.storage.tables.belonging import not_in_catalog
from penstock.storage.tables.catalog import reporting
from penstock.storage.tables.commits import CommitLost
from penstock.storage.tables.data_files import data_file
from penstock.storage.tables.expiry import expire
from penstock.storage.tables.intake import take_in
from penstock.storage.tables.journal import COMPACT
from penstock.storage.tables.leases import LeaseLost
from penstock.storage.tables.manifests import Change, live_files, write_snapshot
from penstock.storage.tables.parts import Parts
from penstock.storage.tables.publishing import Publisher
from penstock.storage.tables.reading import fetched, read
from penstock.storage.tables.settling import settle_held

Rewrite = Callable[[Reading, Path], None]

_SEEN: Final = Statement(
    "INSERT INTO lake_orphans (workspace, name, path, seen_at) VALUES (:workspace, :name, :path, :now)"
    " ON CONFLICT (workspace, name, path) DO NOTHING"
)
_KNOWN: Final = Statement("SELECT path, seen_at FROM lake_orphans WHERE workspace = :workspace AND name = :name")
_GONE: Final = Statement("DELETE FROM lake_orphans WHERE workspace = :workspace AND name = :name AND path = :path")
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps tables in shape.

    Attributes:
        rewrite: writes the rows of a reading into one Parquet file with the same field ids; in a locked child where
            data is not to be touched here.
    """

    parts: Parts
    publisher: Publisher
    rewrite: Rewrite

    def maintain(self, workspace: WorkspaceId, name: TableName) -> Maintained:
        """Compact, expire, and delete what nothing refers to; see the port."""
        before = self._count(workspace, name)
        self._compact(workspace, name)
        expired = self._expire(workspace, name)
        deleted = self._sweep(workspace, name)
        return Maintained(name, before, self._count(workspace, name), expired, deleted)

    def _compact(self, workspace: WorkspaceId, name: TableName) -> None:
        table, seen = self._load(workspace, name)
        if seen is None:
            return
        reading = read(table, name, seen)
        with tempfile.TemporaryDirectory(prefix="penstock-compact-") as folder:
            removed: set[str] = set()
            added = []
            for number, files in enumerate(_small(reading)):
                path = Path(folder, f"{number}.parquet")
                added.append(self._rewritten(table, replace(reading, files=tuple(files)), path))
                removed |= {file.path for file in files}
            if added:
                self._replace_files(workspace, name, added, frozenset(removed))

    def _rewritten(self, table: Table, reading: Reading, path: Path) -> Any:
        """Return the record of a file that holds what several held."""
        if table.metadata.location.startswith("s3://"):
            with fetched(reading, table.io, path.parent) as local:
                self.rewrite(local, path)
        else:
            self.rewrite(reading, path)
        (facts,) = self.parts.footers([path])
        if facts.rows != reading.rows:
            raise Bug(
                f"compacting {reading.table} made {facts.rows} rows of {reading.rows}; nothing was changed",
                hint="Please report this.",
            )
        (place,) = take_in(table, [(path, f"compact-{new_id('f')[2:].lower()}.parquet")])
        return data_file(place, facts, reading.columns, table.metadata.spec())

    def _replace_files(
        self, workspace: WorkspaceId, name: TableName, added: Sequence[Any], removed: frozenset[str]
    ) -> None:
        """Publish the same rows in other files; unless somebody has changed those files meanwhile, then not."""
        run = RunId(new_id(COMPACT))
        for _ in range(limits.LAKE_TRIES.value):
            try:
                with self.parts.leases.hold(workspace, [name]) as held:
                    settle_held(self.parts, workspace, name)
                    table, seen = self._load(workspace, name)
                    by_others = commits.main_of(table) != seen
                    if by_others or not removed <= {file.file_path for file in live_files(table, seen)}:
                        self.parts.database.write(held.release, durable=False)
                        return
                    assert seen is not None, "it has files"
                    change = Change(
                        parent=seen,
                        added=added,
                        schema=commits.schema_of(table, seen),
                        spec=table.metadata.spec(),
                        paths=removed,
                        properties={"penstock.run": run, "penstock.mode": COMPACT},
                        same_rows=True,
                    )
                    with reporting():
                        snapshot = write_snapshot(table, change)
                    commits.put_on_branch(table, snapshot, run)
                    self.publisher.show_same_rows(held, table, name, workspace, run, snapshot)
                    return
            except (LeaseLost, CommitLost):
                continue

    def _expire(self, workspace: WorkspaceId, name: TableName) -> int:
        for _ in range(limits.LAKE_TRIES.value):
            try:
                with self.parts.leases.hold(workspace, [name]) as held:
                    settle_held(self.parts, workspace, name)
                    table, _ = self._load(workspace, name)
                    count = expire(self.parts, held, table, workspace, name, force=True)
                    self.parts.database.write(held.release, durable=False)
                    return count
            except (LeaseLost, CommitLost):
                continue
        return 0

    def _sweep(self, workspace: WorkspaceId, name: TableName) -> int:
        """Delete files that nothing has referred to for a day, by our own count.

        A file's age says nothing: one that is a month old may have been replaced a second ago, and be read now.
        """
        table, _ = self._load(workspace, name)
        with reporting():
            there = set(_listed(table))
            # Loaded after listing: what has come to be referred to meanwhile is seen.
            table, _ = self._load(workspace, name)
            orphans = there - set(_referred(table))
        now = self.parts.clock()
        key = {"workspace": workspace, "name": name}

        def note(tx: Any) -> list[str]:
            known = {row[0]: row[1] for row in _KNOWN.run(tx, key)}
            for path in known.keys() - orphans:
                _GONE.run(tx, {**key, "path": path})
            for path in orphans - known.keys():
                _SEEN.run(tx, {**key, "path": path, "now": now})
            return [path for path in orphans if known.get(path, now) <= now - limits.LAKE_ORPHAN.value * _HOUR_S]

        old = self.parts.database.write(note)
        with reporting():
            for path in old:
                with contextlib.suppress(FileNotFoundError):  # by somebody who looks after the same table
                    table.io.delete(path)
        self.parts.database.write(lambda tx: [_GONE.run(tx, {**key, "path": path}) for path in old])
        return len(old)

    def _count(self, workspace: WorkspaceId, name: TableName) -> int:
        table, seen = self._load(workspace, name)
        with reporting():
            return sum(1 for _ in live_files(table, seen))

    def _load(self, workspace: WorkspaceId, name: TableName) -> tuple[Table, SnapshotId | None]:
        with self.parts.database.read() as tx:
            seen = journal.shown(tx, workspace, name)
        table = self.parts.catalog.load(workspace, name)
        if table is None:  # a run may be making it just now
            raise journal.no_table(name) if seen is None else not_in_catalog(name)
        return table, seen


def _small(reading: Reading) -> Iterator[list[DataFile]]:
    """Yield groups of small files of one partition that are worth being one."""
    groups: dict[Partition, list[DataFile]] = defaultdict(list)
    for file in reading.files:
        if file.size_bytes < limits.COMPACT_SMALL.value * 2**20:
            groups[file.partition].append(file)
    for files in groups.values():
        if len(files) >= limits.COMPACT_FROM.value:
            yield files


def _listed(table: Table) -> Iterator[str]:
    """Yield every file of a table's folder."""
    location = table.metadata.location
    if not location.startswith("s3://"):
        for folder, _, files in os.walk(location):
            yield from (os.path.join(folder, name) for name in files)
        return
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    files_of: Any = table.io
    system = files_of.fs_by_scheme("s3", bucket)
    selector = pyarrow.fs.FileSelector(f"{bucket}/{prefix}", recursive=True, allow_not_found=True)
    for found in system.get_file_info(selector):
        if found.type == pyarrow.fs.FileType.File:
            yield f"s3://{found.path}"


def _referred(table: Table) -> Iterator[str]:
    """Yield every file that the table's metadata leads to."""
    yield table.metadata_location
    yield from (entry.metadata_file for entry in table.metadata.metadata_log)
    done: set[str] = set()
    for snapshot in table.metadata.snapshots:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in done:
                done.add(manifest.manifest_path)
                yield manifest.manifest_path
                for entry in manifest.fetch_manifest_entry(table.io):
                    yield entry.data_file.file_path
