"""Runs beside each other whose results depend on whole tables: who comes second looks again before it publishes."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from penstock.core.errors import NeedsRerun
from penstock.core.plan import RunId
from penstock.core.tables import TableName
from penstock.storage.tables.types import columns_of_arrow
from tests.lakes import D1, ORDERS, WORKSPACE, files, order, read_rows

TOTALS = TableName("marts.totals")
D2 = D1 + dt.timedelta(days=1)


def day(number, day):
    return {"id": number, "day": day}


def rows(harness, name, run=None):
    at = harness.lake.heads(WORKSPACE, [name], run=run and RunId(run))[name]
    return read_rows(harness.lake.read(WORKSPACE, name, at=at))


def replace(harness, run, value, *, fingerprint):
    """Write what a task makes of a whole table."""
    data = pa.table({"orders": [value]})
    of = {"table": TOTALS, "mode": "replace_table", "task": "total", "fingerprint": fingerprint}
    writing = harness.lake.begin(order(run, columns_of_arrow(data.schema), depends_on_table=True, **of))
    if writing.done is not None:
        return writing.done
    return harness.lake.commit(writing, files(harness.folder, data, writing.columns))


def total(harness, run):
    count = len(rows(harness, ORDERS, run))
    replace(harness, run, count, fingerprint=f"of {count}")


def publish(harness, run):
    return harness.lake.publish(WORKSPACE, RunId(run), read_whole={ORDERS})


def test_what_read_a_table_whole_is_done_again_on_what_others_have_published(local):
    for run, number, of in (("run_a", 1, D1), ("run_b", 2, D2)):
        local.write(run, [day(number, of)], days=[of])
        total(local, run)
    publish(local, "run_a")
    with pytest.raises(NeedsRerun) as raised:
        publish(local, "run_b")
    assert raised.value.tables == (TOTALS,)
    assert raised.value.inputs == (ORDERS,)
    assert rows(local, TOTALS) == [(1,)]
    assert len(rows(local, ORDERS)) == 1
    assert len(rows(local, ORDERS, "run_b")) == 2
    total(local, "run_b")
    publish(local, "run_b")
    assert rows(local, TOTALS) == [(2,)]
    assert len(rows(local, ORDERS)) == 2


def test_the_same_result_again_stands(local):
    """Whoever looked again and found the same publishes it, on top of what the other has published."""
    for run in ("run_a", "run_b"):
        replace(local, run, 7, fingerprint="fixed")
    publish(local, "run_a")
    with pytest.raises(NeedsRerun):
        publish(local, "run_b")
    assert (
        replace(local, "run_b", 7, fingerprint="fixed")
        == local.lake.heads(WORKSPACE, [TOTALS], run=RunId("run_b"))[TOTALS]
    )
    assert [each.table for each in publish(local, "run_b")] == [TOTALS]
    assert rows(local, TOTALS) == [(7,)]


def test_what_depends_on_its_own_partition_only_is_put_on_top(local):
    for run, number, of in (("run_a", 1, D1), ("run_b", 2, D2)):
        local.write(run, [day(number, of)], days=[of])
    local.lake.publish(WORKSPACE, RunId("run_a"))
    local.lake.publish(WORKSPACE, RunId("run_b"))
    assert len(rows(local, ORDERS)) == 2
