"""A back-fill of a real shop's days, killed on the way and begun again, is exact. `make chaos` does all 305 days."""

import csv
import io
from decimal import Decimal
from pathlib import Path

from tests.backfills import FIGURES, real_shop

DAYS = 4  # two workers, and the day on which the shop was closed among them


def counted(folder: Path) -> list[object]:
    """Return what the query says, counted by hand from the files."""
    rows = [row for path in folder.glob("*.csv") for row in csv.DictReader(io.StringIO(path.read_text("utf-8")))]
    return [
        len(rows),
        *(len({row[name] for row in rows}) for name in ("InvoiceNo", "StockCode")),
        len({row["CustomerID"] for row in rows} - {""}),
        sum(not row["CustomerID"] for row in rows),
        len({row["Country"] for row in rows}),
        sum(int(row["Quantity"]) * Decimal(row["UnitPrice"]) for row in rows),
        sum(row["InvoiceNo"].startswith("C") for row in rows),
        sum(int(row["Quantity"]) < 0 for row in rows),
        sum(Decimal(row["UnitPrice"]) <= 0 for row in rows),
        sum(not row["Description"] for row in rows),
    ]


def test_a_back_fill_that_is_killed_half_way_and_begun_again_is_exact(tmp_path):
    shop, dates = real_shop(tmp_path, days=DAYS)
    shop.kill(shop.begin(dates[0], dates[-1]), when_published=1, timeout_s=90)
    ended = shop.backfill(dates[0], dates[-1], timeout_s=110)
    assert set(ended["counts"]) == {"succeeded"}
    (found,) = shop.query(FIGURES)
    expected = counted(tmp_path / "by-day")
    assert [Decimal(str(value)) if index == 6 else value for index, value in enumerate(found[:11])] == expected
    assert sorted(row[0] for row in shop.query("SELECT DISTINCT _date FROM marts.daily WHERE lines > 0")) == [
        str(day) for day in dates
    ]
