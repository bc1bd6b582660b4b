"""Ten seconds of random system calls, at both levels; `make fuzz` goes on for as long as you like."""

from __future__ import annotations

import os
import random
from typing import Final

import pytest

from tests.escapes import fuzz
from tests.escapes.laboratory import Laboratory

# The suite's second run, as another user, asks for less.
SECONDS: Final = float(os.environ.get("PENSTOCK_FUZZ_SECONDS", "5"))
ROUNDS_MAX: Final = 10


def test_random_calls_touch_nothing(locked: Laboratory, capsys: pytest.CaptureFixture[str]):
    calls, rounds = 0, 0
    while calls <= 100 * SECONDS:  # too few to mean anything: a busy machine takes longer
        tally = fuzz.run(locked, seconds=SECONDS, seed=random.SystemRandom().getrandbits(32))
        with capsys.disabled():
            print(f"\n{tally}")  # noqa: T201  # the seed is needed to see it again
        assert tally.harm == []
        calls, rounds = calls + tally.calls, rounds + 1
        assert rounds < ROUNDS_MAX, "nearly no call is made"


def test_a_seed_gives_the_same_calls_again(locked: Laboratory):
    """A finding can be looked at a second time."""
    first, second = (fuzz.calls_of_one_child(locked, seed=7) for _ in range(2))
    assert first == second
