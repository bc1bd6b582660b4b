"""`kill -9` at every step of a night of the example's shop: task boundaries, commits, publishing, transactions between.

The storefronts misbehave all the while. After each kill readers see the evening or the morning, and nothing between.
Gone on with, the night ends as one that nothing has disturbed, row for row.
"""

import os
import random
import shutil
import signal
from collections import Counter

import pytest

from tests.shop_nights import EVENING, NIGHT, published, shop_nights

KILLS = int(os.environ.get("PENSTOCK_CHAOS_KILLS", "0"))
OF_EACH = 4  # of one step, so many times spread over the night; of all transactions as many as of five steps
TRANSACTIONS = 20


def chosen(steps, seed=7):
    """Return the steps to be killed at, each with the number of its time: the same for the same night."""
    counts = Counter(steps)
    wanted = []
    for name, count in sorted(counts.items()):
        times = range(1, count + 1)
        number = TRANSACTIONS if name.startswith("transaction") else OF_EACH
        wanted += [(name, nth) for nth in sorted(random.Random(seed).sample(times, min(number, count)))]
    return wanted


@pytest.mark.timeout(7_200)
@pytest.mark.skipif(not KILLS, reason="each kill costs a night: make chaos")
def test_a_night_that_is_killed_at_any_step_ends_as_if_nothing_had_been(tmp_path):
    kept = tmp_path / "evening"
    with shop_nights(tmp_path / "shop", faulty=True) as shop:
        assert shop.night(EVENING)[0] == 0
        shutil.copytree(shop.folder, kept)
        before = shop.seen()
        status, steps = shop.night(NIGHT)
        assert status == 0
        morning = shop.seen()
        states = [published(state) for state in (before, morning)]
        wanted = chosen(steps)
        for step, nth in random.Random(KILLS).sample(wanted, min(KILLS, len(wanted))):
            shop.put_back(kept)
            status, came = shop.night(NIGHT, step=step, nth=nth)
            if status == 0:
                continue  # a night in another order did not come to this step so often
            assert (status, came[-1]) == (-signal.SIGKILL, step)
            assert published(shop.seen()) in states, f"killed at {step} {nth}: readers see a state that never was"
            assert shop.night(NIGHT)[0] == 0, f"killed at {step} {nth}"
            assert shop.seen() == morning, f"killed at {step} {nth}"


@pytest.mark.timeout(3_600)
@pytest.mark.skipif(not KILLS, reason="each night costs seconds: make chaos")
@pytest.mark.parametrize("fault", ["database", "disk"])
def test_a_night_whose_database_or_disk_fails_for_a_moment_ends_as_if_nothing_had_been(tmp_path, fault):
    kept = tmp_path / "evening"
    with shop_nights(tmp_path / "shop") as shop:
        assert shop.night(EVENING)[0] == 0
        shutil.copytree(shop.folder, kept)
        status, steps = shop.night(NIGHT)
        assert status == 0
        morning = shop.seen()
        name = "transaction.begins" if fault == "database" else "commit.snapshot"
        for nth in random.Random(7).sample(range(1, Counter(steps)[name]), 3):
            shop.put_back(kept)
            status, _ = shop.night(NIGHT, step=name, nth=nth, fault=fault)
            for _ in range(3):  # it may have been tried again by itself, or it is gone on with
                status = status and shop.night(NIGHT)[0]
            assert status == 0, f"{fault} failed at {name} {nth}"
            assert shop.seen() == morning, f"{fault} failed at {name} {nth}"
