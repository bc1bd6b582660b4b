"""Which runs of a schedule are due, and when one is late."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from penstock.core.projects import Schedule
from penstock.planning.schedules import deadline_at, due, next_at, occasion, overdue

NIGHTLY = Schedule("0 2 * * *", timezone="America/New_York")


def at(text: str, zone: str = "America/New_York") -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def dates(found) -> list[str]:
    return [each.date for each in found.occasions]


def test_a_new_schedule_begins_with_its_next_time():
    assert next_at(NIGHTLY, after=at("2026-05-01T02:00")) == at("2026-05-02T02:00")


def test_the_date_is_the_day_in_the_schedules_zone():
    tokyo = Schedule("0 8 * * *", timezone="Asia/Tokyo")  # 23:00 of the day before in UTC
    assert occasion(tokyo, at=at("2026-05-02T08:00", "Asia/Tokyo")).date == "2026-05-02"


def test_nothing_is_due_before_its_time():
    found = due(NIGHTLY, next_at=at("2026-05-02T02:00"), now=at("2026-05-02T01:59"), active=0)
    assert (dates(found), found.next_at) == ([], at("2026-05-02T02:00"))


def test_a_time_that_has_come_is_due_once():
    found = due(NIGHTLY, next_at=at("2026-05-02T02:00"), now=at("2026-05-02T02:00"), active=0)
    assert (dates(found), found.next_at) == (["2026-05-02"], at("2026-05-03T02:00"))
    assert dates(due(NIGHTLY, next_at=found.next_at, now=at("2026-05-02T02:01"), active=0)) == []


def test_without_catch_up_only_the_last_of_what_was_missed_is_run():
    found = due(NIGHTLY, next_at=at("2026-05-02T02:00"), now=at("2026-05-06T12:00"), active=0)
    assert (dates(found), found.next_at) == (["2026-05-06"], at("2026-05-07T02:00"))


def test_with_catch_up_everything_that_was_missed_is_run_as_far_as_there_is_room():
    schedule = Schedule("0 2 * * *", timezone="America/New_York", catch_up=True, runs_max=3)
    found = due(schedule, next_at=at("2026-05-02T02:00"), now=at("2026-05-06T12:00"), active=1)
    assert (dates(found), found.next_at) == (["2026-05-02", "2026-05-03"], at("2026-05-04T02:00"))
    found = due(schedule, next_at=found.next_at, now=at("2026-05-06T12:00"), active=0)
    assert (dates(found), found.next_at) == (["2026-05-04", "2026-05-05", "2026-05-06"], at("2026-05-07T02:00"))


def test_what_finds_no_room_waits():
    found = due(NIGHTLY, next_at=at("2026-05-02T02:00"), now=at("2026-05-02T12:00"), active=1)
    assert (dates(found), found.next_at) == ([], at("2026-05-02T02:00"))


def test_a_paused_schedule_keeps_its_place():
    place = at("2026-05-02T02:00")
    paused = Schedule("0 2 * * *", timezone="America/New_York", paused=True)
    assert due(paused, next_at=place, now=place + 9e6, active=0).next_at == place
    assert due(NIGHTLY, next_at=place, now=place + 9e6, active=0, paused=True).occasions == ()


def test_on_the_day_that_has_no_two_o_clock_it_runs_at_three():
    found = due(NIGHTLY, next_at=at("2026-03-08T03:00"), now=at("2026-03-08T03:00"), active=0)
    assert (dates(found), found.next_at) == (["2026-03-08"], at("2026-03-09T02:00"))


def test_a_deadline_is_the_next_time_that_the_clock_shows_it():
    assert deadline_at(NIGHTLY, deadline="04:00", at=at("2026-05-02T02:00")) == at("2026-05-02T04:00")
    assert deadline_at(NIGHTLY, deadline="01:30", at=at("2026-05-02T02:00")) == at("2026-05-03T01:30")
    assert deadline_at(NIGHTLY, deadline="02:00", at=at("2026-05-02T02:00")) == at("2026-05-02T02:00")


def test_a_deadline_that_a_day_does_not_have_comes_after_the_jump():
    midnight = Schedule("0 0 * * *", timezone="America/New_York")
    assert deadline_at(midnight, deadline="02:30", at=at("2026-03-08T00:00")) == at("2026-03-08T03:30")


def test_of_a_deadline_that_a_day_has_twice_the_first_counts():
    midnight = Schedule("0 0 * * *", timezone="America/New_York")
    assert deadline_at(midnight, deadline="01:30", at=at("2026-11-01T00:00")) == at("2026-11-01T00:00") + 5400


def test_the_last_occasion_whose_deadline_has_passed_is_overdue():
    since = at("2026-05-01T12:00")
    assert overdue(NIGHTLY, deadline="04:00", since=since, now=at("2026-05-02T03:59")) is None
    late = overdue(NIGHTLY, deadline="04:00", since=since, now=at("2026-05-02T04:00"))
    assert late is not None
    assert late.date == "2026-05-02"
    late = overdue(NIGHTLY, deadline="01:00", since=since, now=at("2026-05-03T03:00"))  # of the day before
    assert late is not None
    assert late.date == "2026-05-02"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_what_was_missed_over_both_changes_of_the_clock_is_caught_up_once_a_day(zone):
    schedule = Schedule("30 2 * * *", zone, catch_up=True, runs_max=400)
    begin, end = at("2026-01-01T00:00", zone), at("2027-01-01T00:00", zone)
    found = due(schedule, next_at=next_at(schedule, after=begin), now=end, active=0)
    first = dt.date(2026, 1, 1)
    assert dates(found) == [(first + dt.timedelta(days=day)).isoformat() for day in range(365)]
    assert found.next_at == at("2027-01-01T02:30", zone)
