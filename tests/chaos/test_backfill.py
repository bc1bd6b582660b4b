"""305 days of a real shop as one back-fill, killed three times: the figures of the data set come out."""

import os
from datetime import date
from decimal import Decimal

import pytest

from tests.backfills import FIGURES, real_shop

# Of the data set: rows, invoices, stock codes, customers, rows without one, countries, revenue, cancelled, negative
# quantities, prices of nothing or less, without a description.
YEAR = [541_909, 25_900, 4_070, 4_372, 135_080, 38, Decimal("9747747.934"), 9_288, 10_624, 2_517, 1_454]
KILLS = (40, 150, 260)  # when so many dates are published


@pytest.mark.timeout(3_600)
@pytest.mark.skipif("PENSTOCK_CHAOS_KILLS" not in os.environ, reason="a year takes minutes: make chaos")
def test_a_year_of_days_is_exact_though_it_was_killed_three_times(tmp_path):
    shop, dates = real_shop(tmp_path)
    for published in KILLS:
        shop.kill(shop.begin(dates[0], dates[-1]), when_published=published, timeout_s=1_200)
    ended = shop.backfill(dates[0], dates[-1], timeout_s=2_400)
    assert (len(dates), ended["counts"]) == (305, {"succeeded": (dates[-1] - dates[0]).days + 1})
    (found,) = shop.query(FIGURES)
    assert [Decimal(str(value)) if index == 6 else value for index, value in enumerate(found[:11])] == YEAR
    assert [str(value)[:16].replace("T", " ") for value in found[11:]] == ["2010-12-01 08:26", "2011-12-09 12:50"]
    ((days, lines, revenue),) = shop.query(
        "SELECT count(*) FILTER (lines > 0), sum(lines), sum(revenue) FROM marts.daily"
    )
    assert (days, int(lines), Decimal(str(revenue))) == (305, YEAR[0], YEAR[6])


def test_the_dates_are_those_of_the_data_set(tmp_path):
    _, dates = real_shop(tmp_path)
    assert (len(dates), dates[0], dates[-1]) == (305, date(2010, 12, 1), date(2011, 12, 9))
