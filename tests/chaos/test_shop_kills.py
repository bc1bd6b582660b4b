"""A night of the example's shop that is killed, or whose disk, database or sources fail, at every one of its marks.

A mark (`tests/shop_marks.py`) is a point between two things that last: tasks, steps of commits, transactions, files.
A night is gone on with after each, disturbed again at the next one, and so on, until it comes through; then another
begins in the same evening, until none comes to a new mark. Readers see the evening or the morning all the while, and
nothing between; and in the end there is what a night leaves that nothing has disturbed, row for row.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests.shop_nights import EVENING, NIGHT, Nights, Seen, half, polled, shop_nights
from tests.shop_sources import FAULTS, BrokenStorefronts

EVERY = int(os.environ.get("PENSTOCK_CHAOS_EVERY", "0"))  # of so many marks one is chosen; none of 0
LANES = 3  # at once: a night that was killed waits for leases most of its time
ALL = 5  # up to this many, a lane alone would take hours
A_NIGHT = {"kill": 20}  # times that one night is disturbed: what one breaks the next must not hide for long
A_NIGHT_MOST = 40
TRIES = 4  # without a new mark: what was disturbed has to be let go of

pytestmark = [
    pytest.mark.timeout(10_800),
    pytest.mark.skipif(not EVERY, reason="each night costs seconds: make chaos; tests/journeys/test_shop.py has a few"),
]


@dataclass
class Lane:
    """One of several shops in which the same is tried at other marks.

    Attributes:
        evening: where the folder is kept as it is before the night.
        share: of the marks, which are this lane's.
        copied: makes a copy of a database of PostgreSQL, from its URL to the copy's.
    """

    shop: Nights
    evening: Path
    share: tuple[int, int]
    copied: Callable[[str], str]
    before: Seen = field(default_factory=dict)
    after: Seen = field(default_factory=dict)
    morning: Seen = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    nights: int = 0
    processes: int = 0

    def __post_init__(self) -> None:
        """Spend the evening, keep it, and spend the night, undisturbed."""
        evening = self.shop.night(EVENING)
        assert evening.status == 0, evening.said
        shutil.copytree(self.shop.folder, self.evening)
        self.kept = self.shop.database_url
        self.shop.database_url = self.copied(self.kept)
        self.before = self.shop.seen()
        assert self.shop.night(NIGHT).status == 0
        self.after, self.morning = self.shop.seen(), self.shop.left()

    def disturb(self, fault: str) -> None:
        """Let something happen at every mark of the lane's share."""
        while self.one_night(fault):
            self.nights += 1
            print(f"{fault}, lane {self.share}: {len(self.done)} in {self.nights} nights", flush=True)  # noqa: T201  # it takes long

    def one_night(self, fault: str) -> int:
        """Go on with a night until it comes through, and return how often it was disturbed."""
        self.shop.put_back(self.evening)
        self.shop.database_url = self.copied(self.kept)
        most = A_NIGHT.get(fault, A_NIGHT_MOST)
        times = tries = 0
        with polled(self.look, every_s=1.0) as wrong:
            while True:
                left = most - times
                happens = fault if left else ""
                night = self.shop.night(NIGHT, fault=happens, done=self.done, most=left, share=self.share)
                self.processes += 1
                self.done.update(night.struck)
                times += len(night.struck)
                assert not (found := self.look()), f"{night.struck}: {found}"
                if night.status == 0:
                    break
                assert fault != "kill" or not night.struck or night.status == -signal.SIGKILL, night.said
                tries = 0 if night.struck else tries + 1
                assert tries < TRIES, f"after {night.struck}: {night.said}"
        assert wrong == []
        assert self.shop.left() == self.morning, f"{fault} at {sorted(self.done)}"
        return times

    def look(self) -> str:
        """Return what of readers' tables is half done."""
        return half(self.shop.seen(), self.before, self.after)


def disturbed(folder: Path, fault: str, fresh_url: Callable[[], str], copied: Callable[[str], str]) -> str:
    """Disturb nights in several lanes at once; return the figures."""
    lanes = LANES if EVERY < ALL else 1
    urls = [fresh_url() for _ in range(lanes)]

    def in_lane(number: int) -> Lane:
        with shop_nights(folder / f"shop{number}", database_url=urls[number]) as shop:
            lane = Lane(shop, folder / f"evening{number}", (number * EVERY, lanes * EVERY), copied)
            lane.disturb(fault)
            return lane

    started_s = time.monotonic()
    with ThreadPoolExecutor(lanes) as threads:
        found = list(threads.map(in_lane, range(lanes)))
    marks, nights, processes = (sum(counts) for counts in zip(*map(figures, found), strict=True))
    took_s = time.monotonic() - started_s
    return f"{fault}: at {marks} marks, in {nights} nights and {processes} processes, {took_s:.0f} s"


def figures(lane: Lane) -> tuple[int, int, int]:
    return len(lane.done), lane.nights, lane.processes


def same(url: str) -> str:
    return url


@pytest.mark.parametrize("fault", ["kill", "disk", "database"])
def test_a_night_that_is_disturbed_at_its_marks_ends_as_if_nothing_had_been(tmp_path, fault):
    print(disturbed(tmp_path, fault, str, same))  # noqa: T201  # figures for who runs it


def test_a_night_whose_connections_to_postgresql_are_cut_at_its_marks_ends_as_if_nothing_had_been(
    tmp_path, postgres, fresh_database_url
):
    def copied(url: str) -> str:
        return str(postgres.fresh_url(template=sqlalchemy.make_url(url).database))

    print(disturbed(tmp_path, "postgresql", lambda: fresh_database_url("postgresql"), copied))  # noqa: T201  # likewise


def nights(folder: Path, **served: Any) -> list[Seen]:
    """Return what the evening leaves, and the night."""
    found = []
    with shop_nights(folder, **served) as shop:
        for day in (EVENING, NIGHT):
            night = shop.night(day)
            assert night.status == 0, night.said
            found.append(shop.left())
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return nights(tmp_path_factory.mktemp("undisturbed") / "shop")


@pytest.mark.parametrize("fault", FAULTS)
def test_nights_whose_every_page_goes_wrong_first_end_as_if_nothing_had_been(tmp_path, undisturbed, fault):
    sources = BrokenStorefronts(fault)
    assert nights(tmp_path / "shop", serve=sources.serve) == undisturbed
    assert sources.broken[fault] >= 2 * len(("shopify", "woocommerce", "outlet", "magento"))
