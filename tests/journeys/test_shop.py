"""The example's shop: what is published is what the storefronts took, also when a night is killed and gone on with."""

import shutil
import signal
from decimal import Decimal

import pytest

from tests.shop_nights import A_DAY, EVENING, NIGHT, example, published, shop_nights

# In the middle of the tasks; and, gone on with, when everything is to be published. `make chaos` does all steps.
KILLS = (("commit.landed", 9), ("publish.recorded", 1))


@pytest.mark.timeout(600)
def test_a_night_that_is_killed_twice_ends_as_if_nothing_had_been(tmp_path):
    kept = tmp_path / "evening"
    with shop_nights(tmp_path / "shop") as shop:
        assert shop.night(EVENING)[0] == 0
        shutil.copytree(shop.folder, kept)
        before = shop.seen()
        assert shop.night(NIGHT)[0] == 0
        morning = shop.seen()
        check_totals(morning)
        shop.put_back(kept)
        shop.storefronts.faulty = True  # 429, 500 and silence change nothing either
        for step, nth in KILLS:
            assert shop.night(NIGHT, step=step, nth=nth)[0] == -signal.SIGKILL
            assert published(shop.seen()) in (published(before), published(morning)), f"killed at {step}"
        assert shop.night(NIGHT)[0] == 0
        assert shop.seen() == morning


def check_totals(seen):
    """What was published is what the storefronts took."""
    known = example("orders").Calendar(a_day=A_DAY).known_by(EVENING.replace(day=1), NIGHT)
    assert len(seen["raw.returns__rejected"]) == 3
    totals = [Decimal(row.split(",")[3]) for row in seen["report"] if row[0].isdigit()]
    assert len(seen["marts.orders"]) == len(known)
    assert sum(totals) == sum(order.total for order in known.values() if order.status == "paid")
