"""One suite for the lake: catalogs in SQLite and PostgreSQL, warehouses in a folder and in S3."""

import contextlib
import datetime as dt
import threading

import pyarrow as pa
import pytest

from penstock.core import limits
from penstock.core.errors import (
    NeedsRerun,
    NotFound,
    PenstockError,
    SnapshotGone,
    TableBusy,
)
from penstock.core.plan import RunId
from penstock.core.tables import TableName
from penstock.storage.tables.lake import IcebergLake
from penstock.storage.tables.types import columns_of_arrow
from tests.lakes import (
    D1,
    NOTHING,
    ORDERS,
    WORKSPACE,
    Clock,
    files,
    ids,
    main_of,
    numbers,
    open_lake,
    order,
    read_rows,
)

DAILY = TableName("marts.daily")
D2, D3 = (dt.date(2024, 1, day) for day in (2, 3))


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


def test_a_run_that_failed_with_other_columns_keeps_nobody_from_writing_a_new_table(local):
    local.write("run_1", [{"id": 1, "day": D1, "total": "9.90"}], days=[D1])
    local.write("run_2", [{"id": 1, "day": D1, "total": 9.9}], days=[D1], publish=True)
    assert ids(local.rows()) == [1]


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


# ---- of one kind ----


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


def test_work_that_other_work_of_the_run_has_overtaken_is_not_committed(local):
    columns = columns_of_arrow(NOTHING.schema)
    old = local.lake.begin(order("run_1", columns))
    local.write("run_1", numbers(2), fingerprint="f2")
    with pytest.raises(NeedsRerun, match="other work of the same run has begun"):
        local.lake.commit(old, files(local.folder, pa.Table.from_pylist(numbers(1)), old.columns))
    local.lake.publish(WORKSPACE, RunId("run_1"))
    assert ids(local.rows()) == [2]


def test_a_part_that_begins_while_another_commits_takes_nothing_from_it(local):
    local.write("run_0", [{"id": 1}], publish=True)
    parts = local.lake._parts

    def step(name):
        if name == "begin.recorded":
            local.write("run_1", [{"id": 2}], part="b")

    columns = columns_of_arrow(pa.table({"id": [1]}).schema)
    slow = IcebergLake(parts.database, parts.catalog, local.clock, step=step)
    writing = slow.begin(order("run_1", columns, part="c"))
    assert local.lake.heads(WORKSPACE, [ORDERS], run=RunId("run_1")) != local.lake.heads(WORKSPACE, [ORDERS])
    local.lake.commit(writing, files(local.folder, pa.table({"id": [3]}), writing.columns))
    local.lake.publish(WORKSPACE, RunId("run_1"))
    assert ids(local.rows()) == [1, 2, 3]


def test_upkeep_of_a_table_that_a_run_is_making_just_now_finds_none_yet(local):
    """It is in the records before it is in the catalog; that is no sign of a lost lake."""
    parts = local.lake._parts
    told = []

    def step(name):
        if name == "begin.recorded":
            with pytest.raises(NotFound) as refused:
                local.lake.maintain(WORKSPACE, ORDERS)
            told.append(str(refused.value))

    columns = columns_of_arrow(pa.table({"id": [1]}).schema)
    IcebergLake(parts.database, parts.catalog, local.clock, step=step).begin(order("run_1", columns))
    assert told == [f"there is no table {ORDERS}"]


def test_parts_of_a_run_are_one_publication(local):
    for number in range(3):
        last = local.write("run_1", numbers(number), part=f"p{number}").snapshot
        if number == 1:
            local.lake.pin(WORKSPACE, RunId("run_1"), {ORDERS: last})
            pinned = last
    assert ids(local.rows(at=pinned)) == [0, 1]
    assert {one.snapshot_id for one in main_of(local)[0].metadata.snapshots} == {pinned, last}
    local.lake.publish(WORKSPACE, RunId("run_1"))
    assert ids(local.rows()) == [0, 1, 2]
    assert len(local.lake.history(WORKSPACE, ORDERS)) == 1
    local.write("run_1", numbers(9), part="p9", publish=True)  # as raw tables do: published after each
    assert ids(local.rows()) == [0, 1, 2, 9]
    assert local.write("run_1", numbers(0), part="p0") is not None
    assert ids(local.rows()) == [0, 1, 2, 9]


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


def test_a_lease_of_a_killed_holder_ends_by_itself(lake_opening):
    with lake_opening("sqlite-local")(lease_s=10) as harness:
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
            local.write("run_2", numbers(2), publish=True)
            local.clock.now += 1

    local.write("run_1", numbers(1))
    parts = local.lake._parts
    IcebergLake(parts.database, parts.catalog, local.clock, step=step).publish(WORKSPACE, RunId("run_1"))
    assert ids(local.rows()) == [1, 2]
    assert [seen.author.run for seen in local.lake.history(WORKSPACE, ORDERS)][-1] == "run_2"


def test_the_clock_of_a_test_is_not_needed(fresh_database, tmp_path):
    with contextlib.ExitStack() as stack:
        database = fresh_database("sqlite")
        one = stack.enter_context(open_lake(database, tmp_path / "lake", clock=Clock()))
        other = stack.enter_context(open_lake(database, tmp_path / "lake", clock=one.clock))
        one.write("run_1", numbers(1), publish=True)
        other.write("run_2", numbers(2), publish=True)
        assert ids(one.rows()) == ids(other.rows()) == [1, 2]
