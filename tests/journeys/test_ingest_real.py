"""Real data through ingest: events and payloads whose shapes change on the way, and a year of a shop, to the figure."""

import contextlib
import gzip
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from penstock.connectors import connectors
from penstock.core import duckdb_sql
from penstock.core.raw import AUDIT
from penstock.core.tables import TableName
from penstock.sandbox.raw import open_raw
from penstock.sandbox.strict import StrictSandbox
from tests.lakes import WORKSPACE
from tests.pipelines import pipeline_context

DATA = Path(os.environ.get("PENSTOCK_DATA", Path(__file__).parents[3] / "shared/data"))
TASKS = """
tasks:
  payloads: { kind: ingest, from: { connection: disk, path: "payloads/*.ndjson" }, to: raw.payloads }
  events: { kind: ingest, from: { connection: disk, path: "events/*.ndjson.gz" }, to: raw.events }
  retail:
    kind: ingest
    from: { connection: disk, path: "retail/*.csv" }
    to: raw.retail
    columns: { Quantity: long, UnitPrice: double, InvoiceDate: timestamp }
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with (
        contextlib.closing(StrictSandbox()) as strict,
        pipeline_context(
            tmp_path_factory.mktemp("real"),
            files={
                "penstock.yml": "name: shop\nconnections: { disk: { kind: files } }\n",
                "pipelines/main.yml": TASKS,
            },
            connection_kinds=connectors(),
            strict=strict,
            raw=lambda: open_raw(strict, parallel=2),
        ) as bench,
    ):
        yield bench


def opened(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not in $PENSTOCK_DATA")
    return path


def landed(bench, table: str) -> list[Any]:
    """Return the rows of a table by its columns, without those that say where they are from."""
    names = list(bench.columns(table))
    rows = [dict(zip(names, row, strict=True)) for row in bench.rows(table)]
    return [{name: value for name, value in row.items() if name not in AUDIT} for row in rows]


def as_landed(record: Any, columns: Any) -> Any:
    """Return a record as it should be found: nested values as JSON, and in a column beside what does not fit."""
    row = dict.fromkeys(name for name in columns if name not in AUDIT)
    for name, value in record.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        held: Any = {"long": int, "double": (int, float), "boolean": bool}.get(columns[name])
        if columns[name] == "string":
            row[name] = text
        elif isinstance(value, held) and isinstance(value, bool) == (held is bool):
            row[name] = value
        else:
            row[f"{name}__text"] = text
    return row


def comparable(rows: list[Any]) -> list[str]:
    """Return rows as texts in order; what is JSON inside is parsed, since spaces and escapes mean nothing."""

    def inner(value):
        try:
            return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value
        except ValueError:
            return value

    return sorted(json.dumps({name: inner(value) for name, value in row.items()}, sort_keys=True) for row in rows)


def test_payloads_of_fifty_kinds_land_without_losing_a_value(bench):
    kinds = json.loads(gzip.decompress(opened("github-webhooks/index.ghes-35.json.gz").read_bytes()))
    folder = bench.folder / "payloads"
    folder.mkdir()
    payloads = []
    for number, kind in enumerate(kinds):
        payloads += kind["examples"]
        lines = [json.dumps(example) for example in kind["examples"]]
        (folder / f"{number:02}-{kind['name']}.ndjson").write_text("\n".join(lines) + "\n")
        if number in (5, 30):  # the rest comes with later runs, and finds columns that others have made
            bench.run("payloads")
            bench.next_run()
    bench.run("payloads")
    columns = bench.columns("raw.payloads")
    assert len(landed(bench, "raw.payloads")) == 125
    assert comparable(landed(bench, "raw.payloads")) == comparable([as_landed(one, columns) for one in payloads])


def test_events_land_in_two_runs_and_give_their_figures(bench):
    lines = gzip.decompress(opened("gharchive/2021-07-21-few-hours.json.gz").read_bytes()).splitlines(keepends=True)
    folder = bench.folder / "events"
    folder.mkdir()
    for number, part in enumerate((lines[:300], lines[300:])):
        (folder / f"{number}.ndjson.gz").write_bytes(gzip.compress(b"".join(part), 1))
        bench.next_run()
        bench.run("events")
    rows = landed(bench, "raw.events")
    assert len(rows) == 800
    assert len({json.loads(row["actor"])["id"] for row in rows}) == 573
    assert len({json.loads(row["repo"])["id"] for row in rows}) == 623
    assert sum(row["type"] == "PushEvent" for row in rows) == 425
    columns = bench.columns("raw.events")
    assert comparable(rows) == comparable([as_landed(json.loads(line), columns) for line in lines])


def test_a_year_of_a_shop_lands_to_the_figure(bench):
    with tarfile.open(opened("uci-online-retail/by-day.tar.gz")) as archive:
        archive.extractall(bench.folder / "retail")  # of a file that we know
    bench.next_run()
    assert bench.run("retail")["rows"] == 541_909
    with duckdb.connect() as engine:
        scan = duckdb_sql.scan(bench.lake.read(WORKSPACE, TableName("raw.retail")))
        found = engine.execute(
            f"""SELECT count(*), count(DISTINCT InvoiceNo), count(DISTINCT StockCode), count(DISTINCT CustomerID),
                count(*) FILTER (WHERE CustomerID IS NULL), count(DISTINCT Country),
                round(sum(CAST(Quantity * UnitPrice AS DECIMAL(18, 3))), 3),
                count(*) FILTER (WHERE InvoiceNo LIKE 'C%'),
                count(*) FILTER (WHERE Quantity < 0), count(*) FILTER (WHERE UnitPrice <= 0),
                count(*) FILTER (WHERE Description IS NULL), CAST(min(InvoiceDate) AS VARCHAR),
                CAST(max(InvoiceDate) AS VARCHAR), count(DISTINCT _source), count(*) - count(DISTINCT _hash)
                FROM {scan}"""
        ).fetchone()
    assert found is not None
    assert [str(value) for value in found] == [
        *("541909", "25900", "4070", "4372", "135080", "38", "9747747.934", "9288", "10624", "2517", "1454"),
        *("2010-12-01 08:26:00", "2011-12-09 12:50:00", "305", "5268"),
    ]
