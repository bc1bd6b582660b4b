"""Bells wake those who wait, and nothing depends on them."""

import contextlib
import multiprocessing
import os
import threading
import time

import pytest

from penstock.database.bells import Bells


@pytest.fixture
def bells(tmp_path):
    bells = Bells(tmp_path / "bells")
    yield bells
    bells.close()


def test_a_bell_that_was_rung_before_somebody_waits_is_heard(bells):
    with bells.hang("queue") as bell:
        bells.ring("queue")
        bells.ring("queue")
        assert bell.wait(0)
        assert not bell.wait(0)


def test_bells_of_another_name_stay_silent(bells):
    with bells.hang("ended") as bell:
        bells.ring("queue")
        assert not bell.wait(0)


def _ring_from_another_process(folder):
    with contextlib.closing(Bells(folder)) as bells:
        bells.ring("queue")


def test_a_bell_is_heard_across_processes_while_somebody_waits(bells, tmp_path):
    with bells.hang("queue") as bell:
        ringer = multiprocessing.get_context("spawn").Process(
            target=_ring_from_another_process, args=(tmp_path / "bells",)
        )
        ringer.start()
        assert bell.wait(30)
        ringer.join()


def test_everybody_who_waits_is_woken(bells):
    heard = []
    hung = [bells.hang("queue") for _ in range(3)]
    waiting = [threading.Thread(target=lambda bell=bell: heard.append(bell.wait(30))) for bell in hung]
    for thread in waiting:
        thread.start()
    time.sleep(0.01)
    bells.ring("queue")
    for thread in waiting:
        thread.join()
    assert heard == [True] * 3
    for bell in hung:
        bell.close()


def test_a_bell_whose_owner_was_killed_is_taken_down_by_who_rings_it(bells):
    left = bells.hang("queue")
    left._socket.close()
    bells.ring("queue")
    assert os.listdir(bells._folder) == []  # not always the one that it was given: some paths are too long


def test_nobody_has_to_be_there(tmp_path):
    with contextlib.closing(Bells(tmp_path / "nobody")) as bells:
        bells.ring("queue")


def test_a_bell_that_is_never_heard_does_not_stop_who_rings(bells):
    with bells.hang("queue") as bell:
        for _ in range(10_000):
            bells.ring("queue")
        assert bell.wait(0)


def test_a_folder_with_a_long_path_works_for_all_who_name_it(tmp_path):
    folder = tmp_path / ("x" * 100)
    with (
        contextlib.closing(Bells(folder)) as one,
        contextlib.closing(Bells(folder)) as other,
        one.hang("queue") as bell,
    ):
        other.ring("queue")
        assert bell.wait(0)
