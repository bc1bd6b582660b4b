"""Waiting for jobs to end: who looks, and where."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import pytest

from penstock.api.watching import JobWatch
from penstock.database.bells import Bells


@pytest.fixture
def bells(tmp_path):
    """Give bells that only this test rings."""
    with contextlib.closing(Bells(tmp_path / "bells")) as found:
        yield found


class Looks:
    """What tells which jobs have ended, and by which threads it was asked."""

    def __init__(self):
        self.over = set()
        self.threads = set()

    def ended(self, job_ids):
        """Return those that are over."""
        self.threads.add(threading.current_thread())
        return [SimpleNamespace(id=job_id) for job_id in job_ids if job_id in self.over]


async def _wait_for(watch, job_ids):
    waiting = [asyncio.create_task(watch.until_end(job_id, timeout_s=60)) for job_id in job_ids]
    await asyncio.sleep(0)
    return waiting


@pytest.mark.parametrize(("jobs", "in_the_loop"), [(1, True), (32, True), (33, False)])
def test_a_few_rows_at_hand_are_read_in_the_event_loop_and_many_in_a_thread(bells, jobs, in_the_loop):
    looks = Looks()

    async def go():
        watch = JobWatch(looks.ended, bells, at_hand=True)
        job_ids = [f"job_{number}" for number in range(jobs)]
        waiting = await _wait_for(watch, job_ids)
        looks.over |= set(job_ids)
        bells.ring("ended")
        assert [job.id for job in await asyncio.gather(*waiting)] == job_ids
        watch.stop()
        await asyncio.sleep(0)

    asyncio.run(go())
    assert (threading.main_thread() in looks.threads) is in_the_loop


def test_a_database_elsewhere_is_read_in_a_thread(bells):
    looks = Looks()

    async def go():
        watch = JobWatch(looks.ended, bells)
        (waiting,) = await _wait_for(watch, ["job_1"])
        looks.over.add("job_1")
        assert (await waiting).id == "job_1", "without a bell, too"
        watch.stop()
        await asyncio.sleep(0)

    asyncio.run(go())
    assert threading.main_thread() not in looks.threads


def test_a_bell_that_was_lost_keeps_nobody_waiting(bells):
    looks = Looks()

    async def go():
        watch = JobWatch(looks.ended, bells, at_hand=True)
        (waiting,) = await _wait_for(watch, ["job_1"])
        looks.over.add("job_1")
        assert (await waiting).id == "job_1"
        watch.stop()
        await asyncio.sleep(0)

    asyncio.run(go())
