"""305 days of real orders as a back-fill into the lake: killed half-way, overlapped by another, exact in the end."""

import datetime as dt
import os
import tarfile
from pathlib import Path

import duckdb
import pytest

from penstock.core import duckdb_sql
from penstock.core.columns import Column
from penstock.core.plan import RunId
from penstock.core.tables import TableName
from penstock.storage.tables.lake import IcebergLake
from tests.lakes import WORKSPACE, open_lake, order

ARCHIVE = Path(os.environ.get("PENSTOCK_DATA", Path(__file__).parents[3] / "shared/data")) / (
    "uci-online-retail/by-day.tar.gz"
)
RETAIL = TableName("raw.retail")
TYPES = {
    "InvoiceNo": "string",
    "StockCode": "string",
    "Description": "string",
    "Quantity": "long",
    "InvoiceDate": "timestamp",
    "UnitPrice": "decimal(12, 4)",
    "CustomerID": "string",
    "Country": "string",
    "day": "date",
}
COLUMNS = tuple(Column(name, kind) for name, kind in TYPES.items())
FIGURES = """
    SELECT count(*), count(DISTINCT InvoiceNo), count(DISTINCT StockCode), count(DISTINCT CustomerID),
        count(*) FILTER (CustomerID IS NULL), count(DISTINCT Country), sum(Quantity * UnitPrice)::DECIMAL(18, 3),
        count(*) FILTER (InvoiceNo LIKE 'C%'), count(*) FILTER (Quantity < 0), count(*) FILTER (UnitPrice <= 0),
        count(*) FILTER (Description IS NULL), min(InvoiceDate)::VARCHAR, max(InvoiceDate)::VARCHAR
    FROM {}
"""
EXPECTED = (
    541_909, 25_900, 4_070, 4_372, 135_080, 38, 9_747_747.934, 9_288, 10_624, 2_517, 1_454,
    "2010-12-01 08:26:00", "2011-12-09 12:50:00",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"the real orders are not here: {ARCHIVE}")


class Killed(BaseException):
    """Nobody catches it, as nobody catches a kill."""


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """The day files, by day."""
    folder = tmp_path_factory.mktemp("retail")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder)
    return {path.stem[-10:]: path for path in sorted(folder.rglob("*.csv"))}


def back_fill(harness, lake, run, days):
    """Write days in parts of a month, then publish them all."""
    for month in sorted({day[:7] for day in days}):
        mine = {day: path for day, path in days.items() if day.startswith(month)}
        partitions = tuple((dt.date.fromisoformat(day),) for day in mine)
        writing = lake.begin(
            order(
                run,
                COLUMNS,
                table=RETAIL,
                mode="replace_partitions",
                by=("day",),
                partitions=partitions,
                part=month,
            )
        )
        if writing.done is None:
            lake.commit(writing, [written(harness.folder, run, day, path, writing) for day, path in mine.items()])
    return lake.publish(WORKSPACE, RunId(run))


def written(folder, run, day, path, writing):
    """Write one day as an engine does."""
    casts = ", ".join(
        f"CAST({duckdb_sql.quoted(name)} AS {duckdb_sql.sql_type(kind)}) AS {duckdb_sql.quoted(name)}"
        for name, kind in TYPES.items()
        if name != "day"
    )
    place = folder / f"{run}-{day}.parquet"
    query = f"SELECT {casts}, DATE '{day}' AS day FROM read_csv({duckdb_sql.text(str(path))}, all_varchar = true)"
    duckdb.sql(duckdb_sql.copy(query, str(place), writing.columns))
    return place


@pytest.mark.timeout(240)
def test_a_back_fill_that_is_killed_and_overlapped_gives_the_figures_exactly(days, tmp_path, fresh_database):
    landed = iter(range(100))

    def step(name):
        if name == "commit.landed" and next(landed) == 5:
            raise Killed

    with open_lake(fresh_database("sqlite"), tmp_path / "lake") as harness:
        parts = harness.lake._parts
        doomed = IcebergLake(parts.database, parts.catalog, harness.clock, step=step)
        with pytest.raises(Killed):
            back_fill(harness, doomed, "run_year", days)
        harness.clock.now += 60
        spring = {day: path for day, path in days.items() if "2011-03" <= day[:7] <= "2011-05"}
        assert back_fill(harness, harness.lake, "run_spring", spring)[0].before is None
        (published,) = back_fill(harness, harness.lake, "run_year", days)
        assert published.before is not None
        reading = harness.lake.read(WORKSPACE, RETAIL)
        assert len(reading.files) == len(days) == 305
        found = duckdb.execute(FIGURES.format(duckdb_sql.scan(reading))).fetchall()[0]
        assert (*found[:6], float(found[6]), *found[7:]) == EXPECTED
        one = harness.lake.read(WORKSPACE, RETAIL, partitions=[reading.files[7].partition])
        assert one.files == (reading.files[7],)
