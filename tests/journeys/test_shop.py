"""The example's shop: what is published is what the storefronts took, also after a night that was disturbed."""

import shutil
import signal
from decimal import Decimal

import pytest

from tests.shop_nights import A_DAY, EVENING, NIGHT, example, half, shop_nights

# In one process after the other, the last of each being the end of it. `make chaos` does all marks.
DISTURBED = (
    {"land_shopify file rename attempts.parquet 1": "kill"},
    {
        "newest transaction ends Writer._record.record 1": "database",
        "all_orders file fsync lake.metadata.json 1": "disk",
        "publish/publish publish.recorded 1": "kill",
    },
)


@pytest.mark.timeout(600)
def test_a_night_that_is_killed_and_whose_disk_and_database_fail_ends_as_if_nothing_had_been(tmp_path):
    kept = tmp_path / "evening"
    with shop_nights(tmp_path / "shop") as shop:
        assert shop.night(EVENING).status == 0
        shutil.copytree(shop.folder, kept)
        before = shop.seen()
        assert shop.night(NIGHT).status == 0
        after, morning = shop.seen(), shop.left()
        check_totals(after, shop.report())
        shop.put_back(kept)
        shop.storefronts.faulty = True  # 429, 500 and silence change nothing either
        for marks in DISTURBED:
            night = shop.night(NIGHT, at=marks, most=len(marks))
            assert (night.struck, night.status) == ([*marks], -signal.SIGKILL), night.said
            assert half(shop.seen(), before, after) == "", marks
        assert shop.night(NIGHT).status == 0
        assert shop.left() == morning


def check_totals(seen, report):
    """What was published is what the storefronts took."""
    known = example("orders").Calendar(a_day=A_DAY).known_by(EVENING.replace(day=1), NIGHT)
    counts = {name: int(rows.split()[0]) for name, rows in seen.items()}
    assert counts["raw.returns__rejected"] == 3
    totals = [Decimal(row.split(",")[3]) for row in report if row[0].isdigit()]
    assert counts["marts.orders"] == len(known)
    assert sum(totals) == sum(order.total for order in known.values() if order.status == "paid")
