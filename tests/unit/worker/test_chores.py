"""Chores are done again and again, whatever becomes of one."""

import threading
import time

import pytest
from structlog.testing import CapturingLogger

from penstock.core.errors import DatabaseUnavailable
from penstock.worker.chores import Chore, Chores, Patient


def count_to(number, *, failing=()):
    """A chore that sets an event when it was done so often; some of its times fail."""
    done = threading.Event()
    times: list[int] = []

    def do():
        times.append(len(times))
        if len(times) >= number:
            done.set()
        if times[-1] in failing:
            raise DatabaseUnavailable("gone", hint="Wait.")

    return done, do


def test_a_chore_is_done_again_and_again():
    done, do = count_to(3)
    with Chores([Chore("tick", 0.001, do)], log=CapturingLogger()):
        assert done.wait(5)


def test_one_that_fails_is_done_again_and_an_outage_is_told_once():
    log = CapturingLogger()
    done, do = count_to(5, failing=(0, 1, 2))
    with Chores([Chore("tick", 0.001, do)], log=log):
        assert done.wait(5)
    assert [call.kwargs["code"] for call in log.calls] == ["database_unavailable"]


def test_one_that_is_slow_delays_no_other():
    release = threading.Event()
    done, do = count_to(3)
    with Chores([Chore("slow", 0.001, lambda: release.wait(5)), Chore("tick", 0.001, do)], log=CapturingLogger()):
        assert done.wait(5)
        release.set()


def test_after_an_outage_everybody_may_say_that_they_live_before_anybody_is_judged():
    done, reached, up = [], [], False

    def do():
        if not up:
            raise DatabaseUnavailable("gone", hint="Wait.")
        done.append(1)

    def reach():
        reached.append(1)
        if not up:
            raise DatabaseUnavailable("gone", hint="Wait.")

    patient = Patient(do, reach=reach, pause_s=1.0)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            patient()
    up = True
    patient()
    assert (len(done), len(reached)) == (0, 2)
    time.sleep(1.05)
    patient()
    assert (len(done), len(reached)) == (1, 2)
