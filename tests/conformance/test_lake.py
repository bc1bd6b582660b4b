"""One suite for the lake: catalogs in SQLite and PostgreSQL, warehouses in a folder and in S3."""

import contextlib
import datetime as dt
import threading
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.columns import Column
from penstock.core.errors import (
    Conflict,
    FileRefused,
    LakeUnavailable,
    NeedsRerun,
    NotFound,
    PenstockError,
    RequestInvalid,
    RowsOutside,
    SchemaRefused,
    SettingInvalid,
    SnapshotGone,
    TableBusy,
    TableOwned,
    TableUnreadable,
)
from penstock.core.plan import RunId
from penstock.core.tables import TableName, table_name
from penstock.storage.tables.catalog import Catalog
from penstock.storage.tables.types import columns_of_arrow
from tests.lakes import ORDERS, WORKSPACE, Clock, files, open_lake, order, read_rows

DAILY = TableName("marts.daily")
KINDS = ("sqlite-local", "postgresql-local", "sqlite-s3", "postgresql-s3")
D1, D2, D3 = (dt.date(2024, 1, day) for day in (1, 2, 3))


@pytest.fixture
def opening(request, tmp_path, fresh_database):
    """Give a function that opens the same lake again and again."""

    def of_kind(kind):
        catalog, _, warehouse = kind.partition("-")
        database = fresh_database(catalog)
        options: dict[str, Any] = {"catalog_url": database.url if catalog == "postgresql" else ""}
        if warehouse == "s3":
            server = request.getfixturevalue("s3")
            options["warehouse"] = f"s3://{server.fresh_bucket()}/lake"
            options["s3"] = {
                "s3.endpoint": server.endpoint,
                "s3.access-key-id": "test",
                "s3.secret-access-key": "test",
                "s3.region": "us-east-1",
            }
        return lambda **more: open_lake(database, tmp_path / "lake", **options, **more)

    return of_kind


@pytest.fixture(params=KINDS)
def lake(request, opening):
    with opening(request.param)() as harness:
        yield harness


@pytest.fixture
def local(opening):
    """A lake of the quickest kind, for what does not depend on where things are."""
    with opening("sqlite-local")() as harness:
        yield harness


def numbers(*ids, day=D1):
    return [{"id": number, "day": day} for number in ids]


def ids(rows):
    return sorted(row[0] for row in rows)


def main_of(harness, name=ORDERS):
    """What other programs see: Iceberg's own reader on `main`."""
    table = harness.lake._parts.catalog.load(WORKSPACE, name)
    return table, table.scan().to_arrow()


def empty(*names_and_types):
    return pa.table({name: pa.array([], kind) for name, kind in names_and_types})


NOTHING = empty(("id", pa.int64()), ("day", pa.date32()))


# ---- writing and publishing, on every kind ----


def test_what_a_run_writes_is_seen_by_nobody_until_it_is_published(lake):
    lake.write("run_1", numbers(1, 2))
    with pytest.raises(NotFound, match=r"nothing of the table staging\.orders is published"):
        lake.rows()
    own = lake.lake.heads(WORKSPACE, [ORDERS], run=RunId("run_1"))
    assert ids(lake.rows(at=own[ORDERS])) == [1, 2] if lake.lake._parts.catalog.local else True
    (published,) = lake.lake.publish(WORKSPACE, RunId("run_1"))
    assert published.before is None
    lake.write("run_2", numbers(3), publish=True)
    with lake.lake.local(lake.lake.read(WORKSPACE, ORDERS), lake.folder) as reading:
        assert ids(read_rows(reading)) == [1, 2, 3]
    table, seen = main_of(lake)
    assert sorted(seen["id"].to_pylist()) == [1, 2, 3]
    assert set(table.metadata.refs) == {"main"}


def test_replacing_partitions_replaces_what_they_hold_and_empties_those_without_rows(lake):
    lake.write("run_1", numbers(1) + numbers(2, day=D2) + numbers(3, day=D3), days=[D1, D2, D3], publish=True)
    lake.write("run_2", numbers(10), days=[D1, D2], publish=True)
    with lake.lake.local(lake.lake.read(WORKSPACE, ORDERS), lake.folder) as reading:
        assert read_rows(reading) == [(10, D1), (3, D3)]
    assert sorted(main_of(lake)[1]["id"].to_pylist()) == [3, 10]
    assert lake.lake.read(WORKSPACE, ORDERS, partitions=[(D1,)]).rows == 1
    lake.write("run_3", NOTHING, days=[D1, D3], publish=True)
    reading = lake.lake.read(WORKSPACE, ORDERS)
    assert (reading.files, read_rows(reading)) == ((), [])


def test_what_was_published_meanwhile_stays_when_the_result_did_not_depend_on_it(lake):
    lake.write("run_0", numbers(1) + numbers(2, day=D2), days=[D1, D2], publish=True)
    lake.write("run_a", numbers(11) + numbers(12, day=D2), days=[D1, D2])
    lake.write("run_b", numbers(22, day=D2) + numbers(23, day=D3), days=[D2, D3])
    lake.lake.publish(WORKSPACE, RunId("run_b"))
    lake.lake.publish(WORKSPACE, RunId("run_a"))
    with lake.lake.local(lake.lake.read(WORKSPACE, ORDERS), lake.folder) as reading:
        assert read_rows(reading) == [(11, D1), (12, D2), (23, D3)]
    assert sorted(main_of(lake)[1]["id"].to_pylist()) == [11, 12, 23]


def test_upkeep_makes_small_files_few_and_deletes_what_nothing_has_referred_to_for_a_day(lake):
    for number in range(limits.COMPACT_FROM.value):
        lake.write(f"run_{number}", numbers(number), publish=True)
    before = lake.lake.read(WORKSPACE, ORDERS)
    kept = lake.lake.maintain(WORKSPACE, ORDERS)
    assert (kept.files_before, kept.files_after, kept.files_deleted) == (limits.COMPACT_FROM.value, 1, 0)
    with lake.lake.local(lake.lake.read(WORKSPACE, ORDERS), lake.folder) as reading:
        assert ids(read_rows(reading)) == list(range(limits.COMPACT_FROM.value))
    lake.write("run_all", numbers(100), mode="replace_table", publish=True)
    with lake.lake.local(before, lake.folder) as reading:  # a reader may still be at it
        assert len(read_rows(reading)) == limits.COMPACT_FROM.value
    for seen in lake.lake.history(WORKSPACE, ORDERS, count=100)[1:]:  # as a hundred further runs would
        lake.lake._parts.database.write(lambda tx, seen=seen: forget_published(tx, seen.snapshot))
    assert lake.lake.maintain(WORKSPACE, ORDERS).files_deleted == 0
    lake.clock.now += limits.LAKE_ORPHAN.value * 3600 + 1
    assert lake.lake.maintain(WORKSPACE, ORDERS).files_deleted > limits.COMPACT_FROM.value
    with lake.lake.local(lake.lake.read(WORKSPACE, ORDERS), lake.folder) as reading:
        assert ids(read_rows(reading)) == [100]
    assert main_of(lake)[1]["id"].to_pylist() == [100]


def forget_published(tx, snapshot):
    tx.exec_driver_sql(f"UPDATE lake_snapshots SET published_at = NULL WHERE snapshot = {snapshot}")


def test_all_tables_of_a_run_are_published_at_one_moment_with_what_is_recorded_beside_them(lake):
    lake.write("run_1", numbers(1))
    lake.write("run_1", [{"total": 5}], table=DAILY)
    seen = []

    def record(tx):
        seen.append(lake.lake._parts.database.dialect)
        raise RuntimeError("the cursor cannot be recorded")

    with pytest.raises(RuntimeError):
        lake.lake.publish(WORKSPACE, RunId("run_1"), then=record)
    assert {table.name: table.snapshot for table in lake.lake.tables(WORKSPACE)} == {DAILY: None, ORDERS: None}
    published = lake.lake.publish(WORKSPACE, RunId("run_1"), then=seen.append)
    assert {one.table: one.snapshot for one in published} == lake.lake.heads(WORKSPACE, [ORDERS, DAILY])
    count = len(seen)
    assert set(lake.lake.publish(WORKSPACE, RunId("run_1"), then=seen.append)) == set(published)
    assert len(seen) == count


def test_writers_of_many_threads_all_land(lake):
    """Each publishes on top of the others."""
    failures = []

    def write(number):
        try:
            lake.write(f"run_{number}", numbers(number), publish=True)
        except PenstockError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    with lake.lake.local(lake.lake.read(WORKSPACE, ORDERS), lake.folder) as reading:
        assert ids(read_rows(reading)) == list(range(6))


# ---- once is enough ----


def test_rows_outside_of_the_partitions_are_refused(local):
    with pytest.raises(RowsOutside, match=r"1 rows of day=2024-01-03, which is not among the 2 partitions"):
        local.write("run_1", numbers(1) + numbers(3, day=D3), days=[D1, D2])
    columns = columns_of_arrow(NOTHING.schema)
    writing = local.lake.begin(order("run_2", columns, by=("day",), mode="replace_partitions", partitions=((D1,),)))
    mixed = files(local.folder, pa.Table.from_pylist(numbers(1) + numbers(2, day=D2)), writing.columns)
    with pytest.raises(RowsOutside, match="more than one partition: day from"):
        local.lake.commit(writing, mixed)


def test_a_null_is_a_partition_of_its_own(local):
    rows = pa.Table.from_pylist([{"id": 1, "day": D1}, {"id": 2, "day": None}], schema=NOTHING.schema)
    local.write("run_1", rows, days=[D1, None], publish=True)
    assert read_rows(local.lake.read(WORKSPACE, ORDERS, partitions=[(None,)])) == [(2, None)]
    local.write("run_2", NOTHING, days=[None], publish=True)
    assert local.rows() == [(1, D1)]


def test_replacing_the_whole_table_leaves_nothing_of_before(local):
    local.write("run_1", numbers(1, 2), publish=True)
    local.write("run_2", numbers(3), mode="replace_table", publish=True)
    assert ids(local.rows()) == [3]


def test_the_same_work_again_is_found_and_other_work_of_the_run_replaces_it(local):
    first = local.write("run_1", numbers(1))
    assert local.write("run_1", numbers(1)) == first.snapshot
    local.write("run_1", numbers(2), part="b")
    local.lake.publish(WORKSPACE, RunId("run_1"), tables=[DAILY])  # of which it wrote nothing
    local.write("run_1", numbers(7), fingerprint="f2")
    local.lake.publish(WORKSPACE, RunId("run_1"))
    assert ids(local.rows()) == [7]
    assert local.write("run_1", numbers(7), fingerprint="f2") == local.lake.heads(WORKSPACE, [ORDERS])[ORDERS]


def test_parts_of_a_run_are_one_publication(local):
    for number in range(3):
        local.write("run_1", numbers(number), part=f"p{number}")
    local.lake.publish(WORKSPACE, RunId("run_1"))
    assert ids(local.rows()) == [0, 1, 2]
    assert len(local.lake.history(WORKSPACE, ORDERS)) == 1
    local.write("run_1", numbers(9), part="p9", publish=True)  # as raw tables do: published after each
    assert ids(local.rows()) == [0, 1, 2, 9]
    assert local.write("run_1", numbers(0), part="p0") is not None
    assert ids(local.rows()) == [0, 1, 2, 9]


def test_columns_may_be_added_and_widened_and_an_older_snapshot_is_read_as_it_was(local):
    small = pa.schema([("id", pa.int32()), ("x", pa.float32()), ("d", pa.decimal128(6, 2))])
    local.write("run_1", pa.Table.from_pylist([{"id": 1, "x": 0.5, "d": 1}], schema=small), publish=True)
    before = local.lake.heads(WORKSPACE, [ORDERS])[ORDERS]
    wide = pa.schema([("id", pa.int64()), ("x", pa.float64()), ("d", pa.decimal128(10, 2)), ("note", pa.string())])
    rows = pa.Table.from_pylist([{"id": 2**40, "x": 1.5, "d": 2, "note": "n"}], schema=wide)
    local.write("run_2", rows, publish=True)
    assert [row[:2] + row[3:] for row in local.rows()] == [(1, 0.5, None), (2**40, 1.5, "n")]
    assert [column.type for column in local.lake.read(WORKSPACE, ORDERS).columns] == [
        "long", "double", "decimal(10, 2)", "string"
    ]  # fmt: skip
    assert [column.type for column in local.lake.read(WORKSPACE, ORDERS, at=before).columns] == [
        "int", "float", "decimal(6, 2)"
    ]  # fmt: skip
    assert local.rows(at=before)[0][:2] == (1, 0.5)
    local.write("run_3", pa.Table.from_pylist([{"id": 3, "x": 2.5, "d": 1}], schema=small), publish=True)
    assert [row[0] for row in local.rows()] == [1, 2**40, 3]
    assert sorted(main_of(local)[1]["id"].to_pylist()) == [1, 3, 2**40]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"id": pa.string()}, "'id': the table has long, this has string"),
        ({"id": pa.float64()}, "'id': the table has long, this has double"),
        ({"ID": pa.int64()}, "'ID': there is a column 'id', which many readers take for the same"),
        ({"n": pa.uint64()}, "'n': it has no sign: cast it to a signed integer"),
        ({"n": pa.timestamp("ns")}, "'n': a table holds microseconds: cast it to them"),
        ({"n": pa.null()}, "'n': it has no values, so no type"),
        ({"": pa.int64()}, "a name has 1 to 255 characters"),
        ({"tags": pa.list_(pa.string())}, "'tags': the table has list<long>, this has list<string>"),
        ({"d": pa.decimal128(9, 3)}, r"'d': the table has decimal\(6, 2\), this has decimal\(9, 3\)"),
    ],
)
def test_other_changes_of_columns_are_refused_with_the_difference_in_words(local, schema, words):
    base = empty(("id", pa.int64()), ("tags", pa.list_(pa.int64())), ("d", pa.decimal128(6, 2)))
    local.write("run_1", base, publish=True)
    with pytest.raises(SchemaRefused, match=words):
        local.write("run_2", empty(*schema.items()))


def test_a_failed_run_leaves_nothing_of_its_columns(local):
    """Or the mistake of one night would refuse what is right for ever."""
    local.write("run_1", numbers(1), publish=True)
    local.write("run_2", [{"id": 2, "day": D1, "price": "free"}])
    local.lake.discard(WORKSPACE, RunId("run_2"))
    local.write("run_3", [{"id": 3, "day": D1, "price": 1.5}], publish=True)
    assert local.rows() == [(1, D1, None), (3, D1, 1.5)]
    with pytest.raises(Conflict):  # and in one run: mended code binds itself to nothing that was not published
        local.write("run_4", [{"id": 4, "day": D1, "price": 1.5, "paid": "yes"}], by=("day",))
    local.write("run_5", [{"id": 4, "day": D1, "price": 1.5, "paid": "yes"}])
    local.write("run_5", [{"id": 4, "day": D1, "price": 1.5, "paid": True}], fingerprint="f2", publish=True)
    assert local.rows()[-1] == (4, D1, 1.5, True)


def test_a_table_that_nobody_has_seen_may_be_laid_out_anew(local):
    local.write("run_1", [{"id": "one", "day": D1}])
    local.lake.discard(WORKSPACE, RunId("run_1"))
    local.write("run_2", numbers(1), days=[D1], publish=True)
    assert local.rows() == [(1, D1)]
    with pytest.raises(Conflict, match="is partitioned by day, not by nothing"):
        local.write("run_3", numbers(2))


def test_two_runs_that_add_columns_at_the_same_time_both_land(local):
    local.write("run_0", numbers(1), publish=True)
    local.write("run_a", [{"id": 2, "day": D1, "a": 1.5, "both": 7}])
    local.write("run_b", [{"id": 3, "day": D1, "a": 2.5, "both": 8}])
    local.write("run_c", [{"id": 4, "day": D1, "c": True}])
    for run in ("run_b", "run_c", "run_a"):
        local.lake.publish(WORKSPACE, RunId(run))
    assert local.rows() == [
        (1, D1, None, None, None),
        (2, D1, 1.5, 7, None),
        (3, D1, 2.5, 8, None),
        (4, D1, None, None, True),
    ]
    local.write("run_d", [{"id": 5, "day": D1, "z": 1}])
    local.write("run_e", [{"id": 6, "day": D1, "z": "text"}])
    local.lake.publish(WORKSPACE, RunId("run_d"))
    with pytest.raises(NeedsRerun, match="two runs have added it"):
        local.lake.publish(WORKSPACE, RunId("run_e"))


def test_a_result_that_depends_on_what_changed_is_to_be_made_again(local):
    local.write("run_0", numbers(1), publish=True)
    columns = columns_of_arrow(NOTHING.schema)
    for run in ("run_a", "run_b"):
        writing = local.lake.begin(order(run, columns, depends_on_table=True))
        local.lake.commit(writing, files(local.folder, pa.Table.from_pylist(numbers(2)), writing.columns))
    local.lake.publish(WORKSPACE, RunId("run_a"))
    with pytest.raises(NeedsRerun) as caught:
        local.lake.publish(WORKSPACE, RunId("run_b"))
    assert caught.value.tables == (ORDERS,)
    assert ids(local.rows()) == [1, 2]
    local.lake.discard(WORKSPACE, RunId("run_b"))
    local.write("run_b", numbers(3), publish=True)
    assert ids(local.rows()) == [1, 2, 3]


def test_compaction_is_no_change_to_a_result_that_depends_on_the_table(local):
    for number in range(limits.COMPACT_FROM.value):
        local.write(f"run_{number}", numbers(number), publish=True)
    writing = local.lake.begin(order("run_a", columns_of_arrow(NOTHING.schema), depends_on_table=True))
    local.lake.commit(writing, files(local.folder, pa.Table.from_pylist(numbers(99)), writing.columns))
    assert local.lake.maintain(WORKSPACE, ORDERS).files_after == 1
    local.lake.publish(WORKSPACE, RunId("run_a"))
    assert ids(local.rows()) == [*range(limits.COMPACT_FROM.value), 99]
    assert local.lake.read(WORKSPACE, ORDERS).rows == limits.COMPACT_FROM.value + 1


def test_a_rollback_shows_an_earlier_snapshot_and_what_comes_next_stands_on_it(local):
    first = local.write("run_1", numbers(1), publish=True).snapshot
    local.write("run_2", [{"id": 2, "day": D1, "more": 1}], publish=True)
    local.write("run_3", numbers(3))  # began before the rollback, publishes after it
    assert local.lake.rollback(WORKSPACE, ORDERS, first).snapshot == first
    assert local.rows() == [(1, D1)]
    assert main_of(local)[1].column_names == ["id", "day"]
    local.lake.publish(WORKSPACE, RunId("run_3"))
    assert ids(local.rows()) == [1, 3]
    unpublished = local.write("run_4", numbers(4)).snapshot
    with pytest.raises(SnapshotGone, match="was never published"):
        local.lake.rollback(WORKSPACE, ORDERS, unpublished)
    with pytest.raises(SnapshotGone, match="is not one of its snapshots"):
        local.lake.rollback(WORKSPACE, ORDERS, 7)


def test_snapshots_expire_but_for_those_that_somebody_reads_or_may_roll_back_to(local):
    for number in range(5):
        local.clock.now += 1
        local.write(f"run_{number}", numbers(number), mode="replace_table", publish=True)
    old, pinned, *_ = reversed(local.lake.history(WORKSPACE, ORDERS))
    local.lake.pin(WORKSPACE, RunId("run_r"), {ORDERS: pinned.snapshot})
    open_run = local.write("run_open", numbers(77)).snapshot
    for number in range(5, 5 + limits.LAKE_SNAPSHOTS.value + 2):
        local.clock.now += 1
        local.write(f"run_{number}", numbers(number), mode="replace_table", publish=True)
    table, _ = main_of(local)
    assert len(table.metadata.snapshots) <= limits.LAKE_SNAPSHOTS.value + 2
    assert ids(local.rows(at=pinned.snapshot)) == [1]
    assert local.lake.lineage(WORKSPACE, ORDERS, old.snapshot).expired
    with pytest.raises(SnapshotGone, match="has expired"):
        local.rows(at=old.snapshot)
    with pytest.raises(SnapshotGone, match="has expired"):
        local.lake.pin(WORKSPACE, RunId("run_s"), {ORDERS: old.snapshot})
    readable = [one for one in local.lake.history(WORKSPACE, ORDERS, count=1000) if not one.expired]
    assert len(readable) >= limits.LAKE_KEPT.value
    assert all(table.metadata.snapshot_by_id(one.snapshot) for one in readable)
    assert ids(local.rows(at=open_run)) == [4, 77]
    local.lake.publish(WORKSPACE, RunId("run_open"))
    assert 77 in ids(local.rows())
    local.lake.unpin(WORKSPACE, RunId("run_r"))
    assert local.lake.maintain(WORKSPACE, ORDERS).snapshots_expired > 0
    with pytest.raises(SnapshotGone):
        local.rows(at=pinned.snapshot)


def test_many_commits_leave_few_manifests(local):
    for number in range(2 * limits.LAKE_MANIFESTS.value + 5):
        day = D1 + dt.timedelta(days=number)
        local.write(f"run_{number}", numbers(number, day=day), days=[day], publish=True)
    table, seen = main_of(local)
    assert len(table.current_snapshot().manifests(table.io)) <= limits.LAKE_MANIFESTS.value
    assert len(seen) == 2 * limits.LAKE_MANIFESTS.value + 5
    assert table.current_snapshot().summary["total-records"] == str(len(seen))


def test_every_snapshot_says_where_it_comes_from_and_what_was_made_of_it(local):
    raw = local.write("run_1", numbers(1), publish=True).snapshot
    writing = local.lake.begin(
        order("run_2", columns_of_arrow(NOTHING.schema), table=DAILY, inputs={ORDERS: raw}, version="clean@1.2.0")
    )
    made = local.lake.commit(writing, files(local.folder, pa.Table.from_pylist(numbers(5)), writing.columns))
    local.lake.publish(WORKSPACE, RunId("run_2"))
    found = local.lake.lineage(WORKSPACE, DAILY, made.snapshot)
    assert (found.author.run, found.author.version, found.inputs) == ("run_2", "clean@1.2.0", {ORDERS: raw})
    assert (found.rows, found.rows_added, found.mode) == (1, 1, "append")
    assert local.lake.uses(WORKSPACE, ORDERS, raw) == [(DAILY, made.snapshot)]


def test_one_task_writes_a_table(local):
    local.write("run_1", numbers(1))
    with pytest.raises(TableOwned, match=r"written by the task write_staging\.orders of the project shop"):
        local.write("run_2", numbers(2), task="another")
    with pytest.raises(TableOwned):
        local.write("run_2", numbers(2), project="another")


def test_another_workspace_has_nothing(local):
    snapshot = local.write("run_1", numbers(1), publish=True).snapshot
    other = WorkspaceId("ws_2")
    assert local.lake.tables(other) == []
    for ask in (
        lambda: local.lake.read(other, ORDERS),
        lambda: local.lake.read(other, ORDERS, at=snapshot),
        lambda: local.lake.heads(other, [ORDERS], run=RunId("run_1")),
        lambda: local.lake.history(other, ORDERS),
        lambda: local.lake.lineage(other, ORDERS, snapshot),
        lambda: local.lake.rollback(other, ORDERS, snapshot),
        lambda: local.lake.maintain(other, ORDERS),
        lambda: local.lake.pin(other, RunId("run_1"), {ORDERS: snapshot}),
    ):
        with pytest.raises(NotFound):
            ask()
    local.lake.discard(other, RunId("run_1"))
    assert local.lake.publish(other, RunId("run_1")) == ()
    assert ids(local.rows()) == [1]


def test_only_files_that_the_table_can_take_are_taken(local, tmp_path):
    columns = columns_of_arrow(NOTHING.schema)
    writing = local.lake.begin(order("run_1", columns))
    (good,) = files(local.folder, pa.Table.from_pylist(numbers(1)), writing.columns)
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"id": [1]}), plain)
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(good.read_bytes()[:-20])
    link = tmp_path / "link.parquet"
    link.symlink_to(good)
    second = tmp_path / "second.parquet"
    second.hardlink_to(plain)
    wrong = [Column("id", "string", 1)]
    (text,) = files(tmp_path, pa.table({"id": ["a"]}), wrong)
    (unknown,) = files(tmp_path, pa.table({"id": [1]}), [Column("id", "long", 9)])
    (swapped,) = files(tmp_path, pa.table({"id": [1]}), [Column("id", "long", 2)])
    for path, words in [
        (torn, "cannot be read as Parquet"),
        (link, "is a link"),
        (second, "is a link"),
        (tmp_path / "none.parquet", "No such file"),
        (tmp_path, "no regular file"),
        (text, "'id' is string, the table has long"),
        (unknown, "has the field id 9, which is no column"),
        (swapped, "has the field id 2, which is the column 'day'"),
    ]:
        with pytest.raises(FileRefused, match=words):
            local.lake.commit(writing, [path])
    second.unlink()
    with pytest.raises(FileRefused, match="no field id on 'id'"):
        local.lake.commit(writing, [plain])
    assert local.lake.commit(writing, [good]).rows == 1


def test_nested_columns_keep_their_parts(local):
    kind = pa.struct([("a", pa.int64()), ("tags", pa.list_(pa.string()))])
    schema = pa.schema([("id", pa.int64()), ("s", kind), ("m", pa.map_(pa.string(), pa.float64()))])
    row = {"id": 1, "s": {"a": 1, "tags": ["x", "y"]}, "m": [("k", 0.5)]}
    local.write("run_1", pa.Table.from_pylist([row], schema=schema), publish=True)
    assert local.rows() == [(1, {"a": 1, "tags": ["x", "y"]}, {"k": 0.5})]
    assert main_of(local)[1].to_pylist() == [row]


def test_what_files_alone_would_show_wrongly_is_refused(local):
    local.write("run_1", pa.Table.from_pylist([{"s": {"a": 1}}]), publish=True)
    table, _ = main_of(local)
    with table.update_schema() as change:
        change.rename_column("s.a", "b")
    snapshot = local.lake.heads(WORKSPACE, [ORDERS])[ORDERS]
    with pytest.raises(TableUnreadable, match="the nested column 's' was struct<b: long> and is struct<a: long>"):
        local.lake.read(WORKSPACE, ORDERS, at=snapshot)
    table.transaction().set_properties({"schema.name-mapping.default": "[]"}).commit_transaction()
    with pytest.raises(TableUnreadable, match="files without field ids"):
        local.lake.read(WORKSPACE, ORDERS)


def test_what_another_program_renamed_or_dropped_and_added_again_is_read_rightly(local):
    local.write("run_1", [{"id": 1, "old": "a", "again": 5}], publish=True)
    table, _ = main_of(local)
    with table.update_schema() as change:
        change.rename_column("old", "new").delete_column("again")
    with table.update_schema() as change:
        change.add_column("again", table.schema().find_type("id"))
    table.append(pa.table({"id": [2], "new": ["b"], "again": [6]}))
    snapshot = table.current_snapshot().snapshot_id
    with pytest.raises(Conflict, match="another program has moved `main`"):
        local.write("run_2", [{"id": 3}], publish=True)
    local.lake._parts.database.write(lambda tx: adopt(tx, snapshot))
    assert local.rows(at=snapshot) == [(1, "a", None), (2, "b", 6)]


def adopt(tx, snapshot):
    """What somebody would do who wants the other program's work to be published."""
    tx.exec_driver_sql(
        "INSERT INTO lake_snapshots SELECT workspace, name, ?, run, project, task, 'adopted', fingerprint, version,"
        " mode, snapshot, rows, rows_added, at, published_at, NULL FROM lake_snapshots LIMIT 1",
        (snapshot,),
    )


def test_a_lease_of_a_killed_holder_ends_by_itself(opening):
    with opening("sqlite-local")(lease_s=10) as harness:
        leases = harness.lake._parts.leases
        with leases.hold(WORKSPACE, [ORDERS]):
            pass  # and never released
        impatient = type(leases)(leases.database, leases.clock, lease_s=10, wait_s=0.05)
        with pytest.raises(TableBusy, match=r"staging\.orders has been busy"), impatient.hold(WORKSPACE, [ORDERS]):
            pass
        harness.clock.now += 11
        harness.write("run_1", numbers(1), publish=True)
        assert ids(harness.rows()) == [1]


def test_a_holder_that_was_too_slow_records_nothing_and_tries_again(local):
    slow = iter([True])

    def step(name):
        if name == "publish.ready" and next(slow, False):
            local.clock.now += 100
            with local.lake._parts.leases.hold(WORKSPACE, [ORDERS]) as held:
                local.lake._parts.database.write(held.release)

    local.write("run_1", numbers(1))
    object.__setattr__(local.lake._parts, "step", step)
    local.lake.publish(WORKSPACE, RunId("run_1"))
    assert ids(local.rows()) == [1]


def test_a_warehouse_that_is_away_is_said_and_nothing_is_published(opening, s3, tmp_path, fresh_database):
    away = {"s3.endpoint": "http://127.0.0.1:9", "s3.region": "us-east-1", "s3.access-key-id": "a"}
    bounds = {"s3.secret-access-key": "b", "s3.connect-timeout": "0.2", "s3.request-timeout": "0.5"}
    with open_lake(fresh_database("sqlite"), tmp_path / "lake", warehouse="s3://bucket/x", s3=away | bounds) as harness:
        with pytest.raises(LakeUnavailable, match="the lake cannot be used now"):
            harness.write("run_1", numbers(1))
        assert [table.snapshot for table in harness.lake.tables(WORKSPACE)] == [None]


def test_names_and_orders_that_make_no_sense_are_refused(local, tmp_path):
    for name in ("orders", "Raw.orders", "raw.orders.old", "raw.", "raw.1", "raw.a-b", "../etc.passwd"):
        with pytest.raises(RequestInvalid, match="is not the name of a table"):
            table_name(name)
    with pytest.raises(RequestInvalid, match="has no partitions to replace"):
        local.write("run_1", numbers(1), mode="replace_partitions")
    with pytest.raises(RequestInvalid, match="a value for each of day"):
        local.lake.begin(
            order("r", columns_of_arrow(NOTHING.schema), by=("day",), mode="replace_partitions", partitions=((),))
        )
    with pytest.raises(SchemaRefused, match="a table is partitioned by date, int, long, string, boolean, not double"):
        local.write("run_1", [{"x": 1.5}], by=("x",))
    with pytest.raises(SchemaRefused, match="there is no such column"):
        local.write("run_1", [{"x": 1.5}], by=("y",))
    for warehouse in ("relative/folder", "/a/lake[1]"):
        with pytest.raises(SettingInvalid):
            Catalog(f"sqlite:///{tmp_path}/c.db", warehouse)


def test_a_lake_in_a_folder_with_an_odd_name_works(tmp_path, fresh_database):
    folder = tmp_path / "it's 100% #1 & déjà vu"
    with open_lake(fresh_database("sqlite"), folder) as harness:
        harness.write("run_1", numbers(1), publish=True)
        assert ids(harness.rows()) == [1]
        assert harness.lake.maintain(WORKSPACE, ORDERS).files_after == 1


def test_the_clock_of_a_test_is_not_needed(fresh_database, tmp_path):
    with contextlib.ExitStack() as stack:
        database = fresh_database("sqlite")
        one = stack.enter_context(open_lake(database, tmp_path / "lake", clock=Clock()))
        other = stack.enter_context(open_lake(database, tmp_path / "lake", clock=one.clock))
        one.write("run_1", numbers(1), publish=True)
        other.write("run_2", numbers(2), publish=True)
        assert ids(one.rows()) == ids(other.rows()) == [1, 2]
