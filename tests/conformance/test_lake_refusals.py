"""What the lake takes and what it refuses: columns, partitions, files, names, other programs' doings."""

import datetime as dt
import errno
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.core.access import WorkspaceId
from penstock.core.columns import Column
from penstock.core.errors import (
    Conflict,
    FileRefused,
    LakeUnavailable,
    NeedsRerun,
    NotFound,
    RequestInvalid,
    RowsOutside,
    SchemaRefused,
    SettingInvalid,
    TableOwned,
    TableUnreadable,
    TooLarge,
)
from penstock.core.plan import RunId
from penstock.core.tables import TableName, table_name
from penstock.storage.tables.catalog import Catalog
from penstock.storage.tables.types import columns_of_arrow
from tests.lakes import D1, NOTHING, ORDERS, WORKSPACE, empty, files, ids, main_of, numbers, open_lake, order, read_rows

D2, D3 = (dt.date(2024, 1, day) for day in (2, 3))


def test_rows_outside_of_the_partitions_are_refused(local):
    with pytest.raises(RowsOutside, match=r"1 rows of day=2024-01-03, which is not among the 2 partitions"):
        local.write("run_1", numbers(1) + numbers(3, day=D3), days=[D1, D2])
    columns = columns_of_arrow(NOTHING.schema)
    writing = local.lake.begin(order("run_2", columns, by=("day",), mode="replace_partitions", partitions=((D1,),)))
    mixed = files(local.folder, pa.Table.from_pylist(numbers(1) + numbers(2, day=D2)), writing.columns)
    with pytest.raises(RowsOutside, match="more than one partition: day has"):
        local.lake.commit(writing, mixed)


def test_a_null_is_a_partition_of_its_own(local):
    rows = pa.Table.from_pylist([{"id": 1, "day": D1}, {"id": 2, "day": None}], schema=NOTHING.schema)
    local.write("run_1", rows, days=[D1, None], publish=True)
    assert read_rows(local.lake.read(WORKSPACE, ORDERS, partitions=[(None,)])) == [(2, None)]
    local.write("run_2", NOTHING, days=[None], publish=True)
    assert local.rows() == [(1, D1)]


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


def test_parts_of_a_run_may_each_bring_columns(local):
    local.write("run_1", numbers(1), publish=True)
    local.write("run_2", [{"id": 2, "day": D1, "x": 1.5}], part="a")
    local.write("run_2", [{"id": 3, "day": D1, "y": "b"}], part="b")
    one, other = (
        local.lake.begin(order("run_2", columns_of_arrow(pa.table({"id": [1], name: [True]}).schema), part=name))
        for name in ("p", "q")
    )  # at the same time
    for number, writing in enumerate((other, one), 4):
        name = writing.order.author.part
        data = pa.table({"id": [number], name: [True]})
        local.lake.commit(writing, files(local.folder, data, writing.columns))
    local.lake.publish(WORKSPACE, RunId("run_2"))
    names = [column.name for column in local.lake.read(WORKSPACE, ORDERS).columns]
    rows = [dict(zip(names, row, strict=True)) for row in local.rows()]
    assert [{name: value for name, value in row.items() if value is not None} for row in rows] == [
        {"id": 1, "day": D1},
        {"id": 2, "day": D1, "x": 1.5},
        {"id": 3, "day": D1, "y": "b"},
        {"id": 4, "q": True},
        {"id": 5, "p": True},
    ]


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
        " mode, number, snapshot, rows, rows_added, at, published_at, NULL FROM lake_snapshots LIMIT 1",
        (snapshot,),
    )


def test_a_warehouse_that_is_away_is_said_and_nothing_is_published(lake_opening, s3, tmp_path, fresh_database):
    away = {"s3.endpoint": "http://127.0.0.1:9", "s3.region": "us-east-1", "s3.access-key-id": "a"}
    bounds = {"s3.secret-access-key": "b", "s3.connect-timeout": "0.2", "s3.request-timeout": "0.5"}
    with open_lake(fresh_database("sqlite"), tmp_path / "lake", warehouse="s3://bucket/x", s3=away | bounds) as harness:
        with pytest.raises(LakeUnavailable, match="the lake cannot be used now"):
            harness.write("run_1", numbers(1))
        assert [table.snapshot for table in harness.lake.tables(WORKSPACE)] == [None]


def test_a_full_disk_is_said_and_nothing_is_lost(local, monkeypatch):
    local.write("run_1", numbers(1), publish=True)
    full: list[bool] = []

    def fsync(number, real=os.fsync):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    full.append(True)
    with pytest.raises(LakeUnavailable, match="No space left on device"):
        local.write("run_2", numbers(2))
    full.clear()
    local.write("run_2", numbers(2))
    full.append(True)
    with pytest.raises(LakeUnavailable, match="No space left on device"):
        local.lake.publish(WORKSPACE, RunId("run_2"))
    assert ids(local.rows()) == [1, 2]  # recorded already; `main` follows as soon as there is room
    full.clear()
    assert local.lake.recover() == 1
    assert sorted(main_of(local)[1]["id"].to_pylist()) == [1, 2]


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
    with pytest.raises(RequestInvalid, match=r"a partition of staging\.orders is given by a datetime"):
        local.write("run_1", numbers(1), days=[dt.datetime(2024, 1, 1, tzinfo=dt.UTC)])
    with pytest.raises(TooLarge, match="10,001 partitions in one commit"):
        local.write("run_1", numbers(1), days=[D1 + dt.timedelta(days=number) for number in range(10_001)])
    with pytest.raises(SchemaRefused, match="there are 2,001 columns; a table has 2,000 at most"):
        local.lake.begin(order("r", tuple(Column(f"c{number}", "long") for number in range(2_001))))
    local.write("run_1", numbers(1), table=TableName("raw.plain"), publish=True)
    with pytest.raises(RequestInvalid, match=r"a partition of raw\.plain has a value for each of no columns"):
        local.lake.read(WORKSPACE, TableName("raw.plain"), partitions=[(D1,)])
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
