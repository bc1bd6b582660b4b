"""The shop's orders, generated and real, come out exact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.journeys.command import Folder

ROOT = Path(__file__).parents[2]
RETAIL = ROOT / "examples" / "retail"


def generated(folder: Folder, *, malformed: int) -> dict[str, Any]:
    """Put orders into the folder, and return what must come out of them."""
    command = [sys.executable, str(RETAIL / "generate.py"), "--orders", "120", "--seed", "3", "-o", "by-day.tar.gz"]
    done = subprocess.run(
        [*command, "--malformed", str(malformed)], cwd=folder.path, capture_output=True, timeout=60, check=True
    )
    expected: dict[str, Any] = json.loads(done.stderr)["expected"]
    return expected


@pytest.mark.parametrize(
    ("cleaner", "output", "malformed", "more"),
    [
        ("clean.py", "clean.ndjson", 12, ()),
        ("clean.js", "clean.csv", 12, ()),
        ("clean_table.py", "clean.parquet", 0, ("--profile", "arrow")),  # a bad value would fail its whole table
    ],
)
def test_every_cleaner_reaches_what_the_generator_expects(
    folder: Folder, cleaner: str, output: str, malformed: int, more: tuple[str, ...]
):
    expected = generated(folder, malformed=malformed)
    cleaned = folder.penstock("process", str(RETAIL / cleaner), "by-day.tar.gz", "-o", output, "--json", *more)
    account = orjson.loads(cleaned.stdout)
    assert (account["rows"], account["failed"]) == (expected["rows"], malformed)
    assert account["records"] == account["produced"] + account["dropped"] + account["failed"]
    assert totals(folder.path / output) == Decimal(expected["total"])
    if malformed:
        assert len(folder.records(f"{output}.dead-letters.ndjson")) == malformed


def totals(path: Path) -> Decimal:
    """Return the sum of the line totals of a cleaned file."""
    if path.suffix == ".parquet":
        return Decimal(pc.sum(pq.read_table(path)["LineTotal"]).as_py())
    if path.suffix == ".csv":
        header, *rows = path.read_text().splitlines()
        assert header.split(",")[-1] == "LineTotal"
        return sum((Decimal(row.rpartition(",")[2]) for row in rows), Decimal())
    return sum((Decimal(orjson.loads(line)["LineTotal"]) for line in path.read_bytes().splitlines()), Decimal())


def test_the_real_shop_comes_out_exact(folder: Folder):
    """541,909 rows; 9,288 are cancelled and 2,517 have no price."""
    data = Path(os.environ.get("PENSTOCK_DATA") or ROOT.parent / "shared" / "data")
    given = data / "uci-online-retail" / "by-day.tar.gz"
    if not given.is_file():
        pytest.skip("uci-online-retail/by-day.tar.gz is not in $PENSTOCK_DATA")
    cleaned = folder.penstock("process", str(RETAIL / "clean.py"), str(given), "-o", "clean.ndjson", "--json")
    account = orjson.loads(cleaned.stdout)
    names = ("records", "produced", "dropped", "failed", "rows")
    assert [account[name] for name in names] == [541_909, 530_104, 9_288 + 2_517, 0, 530_104]
    assert totals(folder.path / "clean.ndjson") == Decimal("10666684.544")
