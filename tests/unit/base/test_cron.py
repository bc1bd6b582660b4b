"""Cron expressions: what is none, and their times on days when the clock jumps."""

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.cron import cron_problem, time_before, times_after


def at(text: str, zone: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def shown(cron: str, zone: str, after: str, count: int) -> list[str]:
    times = itertools.islice(times_after(cron, timezone=zone, after=at(after, zone)), count)
    return [dt.datetime.fromtimestamp(time, ZoneInfo(zone)).strftime("%d %H:%M %z") for time in times]


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/15 8-18 * * MON-FRI", "0 0 L * *", "0 0 29 2 *", "5 4 1,15 * *"])
def test_what_cron_understands_has_no_problem(cron):
    assert cron_problem(cron) is None


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * *", "has 4 fields; cron has 5: minute, hour, day of month, month, day of week"),
        ("60 2 * * *", "'60' is no minute; valid is 0-59"),
        ("0 2 * * MOM", "'MOM' is no day of week; valid is 0-7 or SUN-SAT; did you mean MON?"),
        ("0 2 * FEBR *", "'FEBR' is no month; valid is 1-12 or JAN-DEC; did you mean FEB?"),
        ("@dayly", "'@dayly' is no cron expression; write '0 0 * * *'"),
        ("0 0 31 2 *", "'0 0 31 2 *' never comes"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_valid(cron, words):
    assert words in str(cron_problem(cron))


def test_a_time_that_a_day_does_not_have_comes_when_the_clock_has_jumped():
    # Berlin, 2026-03-29: 02:00 is followed by 03:00
    assert shown("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", 2) == ["29 03:00 +0200", "30 02:30 +0200"]


def test_two_times_that_a_day_does_not_have_come_once():
    assert shown("15,45 2 29 3 *", "Europe/Berlin", "2026-03-28T12:00", 1) == ["29 03:00 +0200"]
    assert shown("0 2,3 29 * *", "Europe/Berlin", "2026-03-28T12:00", 2) == ["29 03:00 +0200", "29 02:00 +0200"]


def test_a_time_that_a_day_has_twice_comes_once():
    # Berlin, 2026-10-25: 03:00 is followed by 02:00
    assert shown("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2) == ["25 02:30 +0200", "26 02:30 +0100"]


def test_the_second_time_of_a_repeated_hour_is_not_waited_for():
    after = dt.datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    first = next(times_after("30 2 * * *", timezone="Europe/Berlin", after=after))
    assert dt.datetime.fromtimestamp(first, ZoneInfo("Europe/Berlin")).day == 26


def test_every_hour_means_hours_that_pass():
    assert shown("0 * * * *", "Europe/Berlin", "2026-03-29T00:30", 3) == [
        "29 01:00 +0100",
        "29 03:00 +0200",
        "29 04:00 +0200",
    ]
    assert shown("0 * * * *", "Europe/Berlin", "2026-10-25T01:30", 3) == [
        "25 02:00 +0200",
        "25 02:00 +0100",
        "25 03:00 +0100",
    ]


def test_half_an_hour_is_jumped_over_where_clocks_do_so():
    # Lord Howe, 2026-10-04: 02:00 is followed by 02:30
    assert shown("10 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", 2) == ["04 02:30 +1100", "05 02:10 +1100"]


@settings(max_examples=60, deadline=None)
@given(
    cron=st.sampled_from(["30 2 * * *", "0 * * * *", "15,45 2 * * *", "0 2,3 * * *", "*/20 * * * *", "0 2 * * SUN"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"]),
    day=st.dates(dt.date(2015, 1, 1), dt.date(2027, 1, 1))
    | st.sampled_from(
        [dt.date(2026, 3, 29), dt.date(2026, 10, 25), dt.date(2026, 3, 8), dt.date(2026, 11, 1), dt.date(2026, 10, 4)]
    ),
    minute=st.integers(0, 24 * 60 - 1),
)
def test_backwards_it_is_the_same_times(cron, zone, day, minute):
    now = dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() + minute * 60
    times = times_after(cron, timezone=zone, after=now - 15 * 86_400)
    forwards = list(itertools.takewhile(lambda time: time <= now, times))
    assert time_before(cron, timezone=zone, at=now) == forwards[-1]
    assert forwards == sorted(set(forwards))


# Days on which clocks are changed: by an hour, by half of one, at midnight, and by a whole day.
CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "America/Havana": ("2026-03-08", "2026-11-01"),
    "Pacific/Apia": ("2011-12-30",),
}
DAYS_S = 3 * 86_400.0


def model(cron: str, zone: str, after: float) -> list[float]:
    """Return the times of three days, by a look at what the clock shows in each of their minutes."""
    minutes, hours, days, _, weekdays = (values(field) for field in cron.split())
    passes = cron.startswith("*") or cron.split()[1].startswith("*")

    def fits(clock: dt.datetime) -> bool:
        is_day = (not days or clock.day in days) and (not weekdays or clock.isoweekday() % 7 in weekdays)
        return (not minutes or clock.minute in minutes) and (not hours or clock.hour in hours) and is_day

    found, latest = [], None
    begin = after - after % 60 - 2 * 86_400
    for time in (begin + 60.0 * minute for minute in range(int((DAYS_S + 2 * 86_400) / 60) + 1)):
        clock = dt.datetime.fromtimestamp(time, ZoneInfo(zone))
        shown = clock.replace(tzinfo=None, fold=0)
        skipped = latest is not None and not passes and any(map(fits, between(latest, shown)))
        if skipped or (fits(shown) and (passes or clock.fold == 0)):
            found.append(time)
        latest = shown if latest is None else max(latest, shown)
    return [time for time in found if after < time <= after + DAYS_S]


def between(latest: dt.datetime, shown: dt.datetime) -> list[dt.datetime]:
    count = int((shown - latest).total_seconds() // 60)
    return [latest + dt.timedelta(minutes=minute) for minute in range(1, count)]


def values(field: str) -> set[int]:
    """Return what a field means; nothing for everything."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0-59" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return set() if field == "*" else found


@settings(max_examples=80, deadline=None)
@given(
    minute=st.sampled_from(["0", "30", "15,45", "59", "0,30", "*", "*/15", "*/20", "5-10"]),
    hour=st.sampled_from(["0", "1", "2", "3", "23", "1-3", "2,3", "*", "*/2", "*/6"]),
    days=st.sampled_from(["* * *", "* * 0", "* * 1-5", "29,30 * *"]),
    place=st.sampled_from([(zone, day) for zone, days in CHANGES.items() for day in days]),
    begin_s=st.integers(-36 * 3_600, 12 * 3_600),
    to_s=st.integers(0, int(DAYS_S)),
)
def test_forwards_and_backwards_it_is_what_a_look_at_every_minute_finds(minute, hour, days, place, begin_s, to_s):
    cron, (zone, day) = f"{minute} {hour} {days}", place
    after = at(day, zone) + begin_s
    times = times_after(cron, timezone=zone, after=after)
    expected = model(cron, zone, after)
    assert list(itertools.takewhile(lambda time: time <= after + DAYS_S, times)) == expected
    if before := [time for time in expected if time <= after + to_s]:
        assert time_before(cron, timezone=zone, at=after + to_s) == before[-1]
