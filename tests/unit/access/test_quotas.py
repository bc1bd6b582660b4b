"""What a workspace may use, and what it is told when that is not enough."""

from __future__ import annotations

import pytest

from penstock.access.quotas import retry_after
from penstock.core.errors import TooLarge, TooMany
from penstock.core.jobs import Depth
from tests.people import People

EMPTY = Depth(scheduled=0, ready=0, running=0, drained_per_s=0.0)


@pytest.fixture
def people(fresh_database):
    return People(fresh_database("sqlite"))


@pytest.fixture
def admin(people):
    return people.admin()


def check(people, actor, *, depth=EMPTY, size_bytes=1):
    with people.database.read() as tx:
        people.access.quota_records.check_submit(tx, actor.workspace, depth=depth, size_bytes=size_bytes)


def limit(people, **quotas):
    people.access.workspaces.change_locally("acme", quotas=quotas)


def test_a_job_fits_into_an_empty_workspace(people, admin):
    check(people, admin)


def test_a_full_queue_says_when_to_come_back(people, admin):
    limit(people, queued_jobs_max=100)
    check(people, admin, depth=Depth(9, 90, 64, 10.0))
    with pytest.raises(TooMany, match=r"149 jobs .* 10\.0 end each second; queued_jobs_max is 100") as caught:
        check(people, admin, depth=Depth(10, 139, 64, 10.0))
    assert caught.value.retry_after_s == 5  # 50 too many, 10 a second


def test_a_queue_that_does_not_drain_says_so(people, admin):
    limit(people, queued_jobs_max=1)
    with pytest.raises(TooMany, match="none has ended lately") as caught:
        check(people, admin, depth=Depth(0, 1, 0, 0.0))
    assert caught.value.retry_after_s == 10


@pytest.mark.parametrize(
    ("waiting", "drained_per_s", "after_s"), [(1, 1000.0, 1), (1, 0.5, 2), (10**9, 1.0, 600), (5, 0.0, 10)]
)
def test_the_time_to_come_back_is_whole_seconds_within_bounds(waiting, drained_per_s, after_s):
    assert retry_after(waiting, drained_per_s=drained_per_s) == after_s


def test_a_request_that_is_too_large_is_told_the_limit(people, admin):
    limit(people, request_bytes_max=1024)
    check(people, admin, size_bytes=1024)
    with pytest.raises(TooLarge, match=r"request_bytes_max is 1\.0 KiB"):
        check(people, admin, size_bytes=1025)


def test_what_is_stored_is_counted_within_the_same_second(people, admin):
    limit(people, stored_bytes_max=1000)
    records = people.access.quota_records
    check(people, admin, size_bytes=600)
    people.database.write(lambda tx: records.add_stored(tx, admin.workspace, 600))
    with pytest.raises(TooLarge, match="stored_bytes_max is 1000 B"):
        check(people, admin, size_bytes=600)
    people.database.write(lambda tx: records.add_stored(tx, admin.workspace, -600))
    people.clock.advance(2)
    check(people, admin, size_bytes=600)
    with people.database.read() as tx:
        assert records.read(tx, admin.workspace).stored_bytes == 0


def test_cpu_time_starts_again_at_midnight(people, admin):
    limit(people, cpu_s_per_day_max=100)
    day = "2026-09-21"
    people.execute(f"INSERT INTO usage (workspace, day, cpu_s) VALUES ('{admin.workspace}', '{day}', 100.5)")
    people.clock.now = 1_790_035_200 - 3 * 3600  # three hours before midnight UTC
    with pytest.raises(TooMany, match="cpu_s_per_day_max is 100") as caught:
        check(people, admin)
    assert caught.value.retry_after_s == 3 * 3600
    people.clock.advance(3 * 3600)
    check(people, admin)


def test_quotas_are_read_once_a_second(people, admin):
    records = people.access.quota_records
    check(people, admin)
    people.execute("""UPDATE workspaces SET quotas = '{"queued_jobs_max": 0}'""")
    check(people, admin)
    assert records.cached(admin.workspace) is not None
    people.clock.advance(1)
    assert records.cached(admin.workspace) is None
    with pytest.raises(TooMany):
        check(people, admin)


def test_a_quota_that_is_set_here_holds_at_once(people, admin):
    check(people, admin)
    limit(people, queued_jobs_max=0)
    with pytest.raises(TooMany):
        check(people, admin)


def test_only_what_differs_from_the_default_is_stored(people, admin):
    limit(people, running_jobs_max=7)
    assert people.rows("SELECT quotas FROM workspaces")[0][0] == '{"running_jobs_max": 7}'
