"""The retail example: its summary tells what is generated, and all three cleaners agree on it, to the last digit."""

import csv
import io
import json
import runpy
import subprocess
import sys
import tarfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from penstock_guest.reading.columns import table_of
from tests.unit.guest.inputs import blocks_of, failures_of, real_data, records_of

RETAIL = Path(__file__).parents[3] / "examples" / "retail"


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Return orders of every form, and their summary."""
    folder = tmp_path_factory.mktemp("orders")
    summaries = [generate(folder / name) for name in ("orders.csv", "orders.csv.gz", "by-day.tar.gz")]
    assert summaries[0] == summaries[1] == summaries[2]
    return folder, summaries[0]


def generate(path, *, orders=2_000, seed=7, malformed=0):
    arguments = [f"--orders={orders}", f"--seed={seed}", f"--malformed={malformed}", f"--output={path}"]
    command = [sys.executable, str(RETAIL / "generate.py"), *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr)


def function(script, name="process"):
    """Return the function of an example, loaded without a sandbox."""
    return runpy.run_path(str(RETAIL / script))[name]


def cleaned(records):
    process = function("clean.py")
    return [clean for clean in map(process, records) if clean is not None]


def total(records):
    return sum(Decimal(record["LineTotal"]) for record in records)


def test_the_same_seed_gives_the_same_bytes(generated, tmp_path):
    for name in ("orders.csv", "orders.csv.gz", "by-day.tar.gz"):
        generate(tmp_path / name)
        assert (tmp_path / name).read_bytes() == (generated[0] / name).read_bytes()
    generate(tmp_path / "other.csv", seed=8)
    assert (tmp_path / "other.csv").read_bytes() != (generated[0] / "orders.csv").read_bytes()


def test_the_summary_counts_the_dirt(generated):
    folder, summary = generated
    rows = list(csv.DictReader(io.StringIO((folder / "orders.csv").read_text("utf-8"))))
    assert len(rows) == summary["rows"] > 30_000
    assert sum(row["InvoiceNo"].startswith("C") for row in rows) == summary["cancelled"] > 0
    assert sum(Decimal(row["UnitPrice"]) <= 0 for row in rows) == summary["unpriced"] > 0
    assert not any(row["InvoiceNo"].startswith("C") and Decimal(row["UnitPrice"]) <= 0 for row in rows)
    assert sum(not row["CustomerID"] for row in rows) == summary["without_customer"] > 0
    assert sum(not row["Description"] for row in rows) == summary["without_description"] > 0
    assert len({row["InvoiceNo"].lstrip("AC") for row in rows}) == summary["orders"] == 2_000
    assert len(rows) - len({tuple(row.values()) for row in rows}) >= summary["duplicates"] > 0
    assert {row["CustomerID"][-2:] for row in rows} == {"", ".0"}
    assert any('"' in row["Description"] and "," in row["Description"] for row in rows)


def test_every_form_has_the_same_rows(generated):
    folder, summary = generated
    by_form = [records_of(blocks_of((folder / name).read_bytes(), name)) for name in ("orders.csv", "by-day.tar.gz")]
    assert by_form[0] == by_form[1]
    assert len(by_form[0]) == summary["rows"]
    with tarfile.open(folder / "by-day.tar.gz") as archive:
        names = archive.getnames()
    assert (len(names), names[0], names[-1]) == (25, "2010-12-01.csv", "2010-12-29.csv")


def test_malformed_rows_fail_and_nothing_else(tmp_path):
    summary = generate(tmp_path / "orders.csv", orders=100, malformed=12)
    blocks = blocks_of((tmp_path / "orders.csv").read_bytes(), "orders.csv")
    records = records_of(blocks)
    readable = [record for record in records if isinstance(record, dict)]
    worded = [record for record in readable if record["UnitPrice"] == "a fiver"]
    assert summary["malformed"] == len(failures_of(blocks)) + len(records) - len(readable) + len(worded) == 12
    assert len(readable) - len(worded) == summary["rows"]


def test_cleaning_leaves_what_the_summary_expects(generated):
    folder, summary = generated
    clean = cleaned(records_of(blocks_of((folder / "orders.csv").read_bytes(), "orders.csv")))
    assert {"rows": len(clean), "total": f"{total(clean):.3f}"} == summary["expected"]


def test_cleaning_repairs_types():
    header = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    one = b"536365,85123A, LANTERN ,6,2010-12-01 08:26:00,2.55,17850.0,EIRE\n"
    other = b"536366,B,,1,2010-12-01 08:26:00,0.001,,USA\n"
    assert cleaned(records_of(blocks_of(header + one + other, "in.csv"))) == [
        {
            "InvoiceNo": "536365",
            "StockCode": "85123A",
            "Description": "LANTERN",
            "Quantity": 6,
            "InvoiceDate": "2010-12-01T08:26:00",
            "UnitPrice": Decimal("2.55"),
            "CustomerID": 17850,
            "Country": "EIRE",
            "LineTotal": Decimal("15.30"),
        },
        {
            "InvoiceNo": "536366",
            "StockCode": "B",
            "Description": None,
            "Quantity": 1,
            "InvoiceDate": "2010-12-01T08:26:00",
            "UnitPrice": Decimal("0.001"),
            "CustomerID": None,
            "Country": "USA",
            "LineTotal": Decimal("0.001"),
        },
    ]


def test_javascript_cleans_to_the_letter_as_python_does(generated):
    quickjs = pytest.importorskip("quickjs", reason="QuickJS has no wheel for this machine")
    records = records_of(blocks_of((generated[0] / "orders.csv").read_bytes(), "orders.csv"))[:5_000]
    all_of = "function all(text) { return JSON.stringify(JSON.parse(text).map(process)) }"
    process = quickjs.Function("all", (RETAIL / "clean.js").read_text() + all_of)
    by_javascript = [clean for clean in json.loads(process(json.dumps(records))) if clean is not None]
    assert by_javascript == json.loads(json.dumps(cleaned(records), default=str))


def test_a_table_is_cleaned_as_single_records_are(generated):
    records = records_of(blocks_of((generated[0] / "orders.csv").read_bytes(), "orders.csv"))
    table = function("clean_table.py", "process_table")(table_of(records, as_text=True))
    by_record = cleaned(records)
    assert table.num_rows == len(by_record)
    assert table["CustomerID"].to_pylist() == [record["CustomerID"] for record in by_record]
    assert table["LineTotal"].to_pylist() == [record["LineTotal"] for record in by_record]
    assert table["Description"].to_pylist() == [record["Description"] for record in by_record]
    assert pa.types.is_decimal(table.schema.field("LineTotal").type)


def test_a_year_of_real_orders_comes_out_exact():
    clean = cleaned(records_of(blocks_of(real_data("uci-online-retail/by-day.tar.gz"), "by-day.tar.gz")))
    assert len(clean) == 530_104
    assert total(clean) == Decimal("10666684.544")


def test_a_year_of_real_orders_comes_out_exact_as_tables():
    process_table = function("clean_table.py", "process_table")
    rows, amount = 0, Decimal(0)
    for block in blocks_of(real_data("uci-online-retail/by-day.tar.gz"), "by-day.tar.gz"):
        table = process_table(table_of(records_of([block]), as_text=True))
        rows += table.num_rows
        amount += sum(table["LineTotal"].to_pylist())
    assert (rows, amount) == (530_104, Decimal("10666684.544"))
