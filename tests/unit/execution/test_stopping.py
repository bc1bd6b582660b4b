"""Ending an attempt from outside."""

import threading
import time

import pytest

from penstock.core.errors import LeaseExpired, Stopped
from penstock.execution.stopping import StopSign


def test_whoever_watches_is_told_once_and_at_once_when_late():
    sign, told = StopSign(), []
    with sign.watched(lambda: told.append("early")):
        sign.ask()
        sign.ask()
    with sign.watched(lambda: told.append("late")):
        pass
    assert told == ["early", "late"]


def test_whoever_has_left_is_not_told():
    sign, told = StopSign(), []
    with sign.watched(lambda: told.append("gone")):
        pass
    sign.ask()
    assert told == []


def test_a_wait_ends_when_the_run_is_cancelled():
    sign = StopSign()
    threading.Timer(0.1, sign.ask).start()
    began_s = time.monotonic()
    with pytest.raises(Stopped) as caught:
        sign.wait(30)
    assert time.monotonic() - began_s < 10
    assert (caught.value.message, caught.value.hint) == ("the run was cancelled", "Run: penstock resume RUN")
    assert not sign.timed_out


def test_what_cannot_be_taken_back_waits_for_word_that_the_lease_holds():
    now = [100.0]
    sign = StopSign(held_until_s=102.0, clock=lambda: now[0])
    sign.confirm()
    now[0] = 110.0
    threading.Timer(0.1, lambda: setattr(sign, "held_until_s", 112.0)).start()
    sign.confirm()
    now[0] = 120.0
    with pytest.raises(LeaseExpired, match=r"the lease ran out 8\.0 s ago"):
        sign.confirm()
    sign.ask()
    with pytest.raises(Stopped):
        sign.confirm()


def test_time_that_is_up_is_told_from_a_run_that_was_cancelled():
    sign = StopSign()
    with sign.after(0.05), pytest.raises(Stopped, match=r"it took longer than its timeout of 0\.05 s"):
        sign.wait(30)
    assert sign.timed_out
    other = StopSign()
    with other.after(0.05):
        other.ask()
        time.sleep(0.1)
    assert not other.timed_out, "it was cancelled before"


def test_of_many_attempts_each_has_its_own_time_and_one_that_fails_to_stop_keeps_no_other():
    late, soon, broken = StopSign(), StopSign(), StopSign()

    def fail() -> None:
        raise OSError("it is gone")

    with late.after(30), soon.after(0.1), broken.watched(fail), broken.after(0.05):
        with pytest.raises(Stopped):
            soon.wait(30)
        assert broken.timed_out
        assert not late.asked


def test_an_attempt_that_has_ended_is_not_stopped_later():
    sign = StopSign()
    with sign.after(0.05):
        pass
    time.sleep(0.1)
    sign.check()
