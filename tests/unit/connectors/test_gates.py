"""The gate before a connection, on a clock that is moved by hand."""

from dataclasses import dataclass, field

import pytest

from penstock.connectors.gates import Clock, Gate, Settings
from penstock.core.errors import ConnectionResting, DestinationUnavailable, SourceRefused, TooMany


@dataclass
class Context:
    """What a gate needs of an attempt's context: time passes while it waits."""

    now: float = 1_000.0
    waits: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def wait(self, seconds):
        self.now += seconds
        if seconds:
            self.waits.append(seconds)

    def log(self, text, **_figures):
        self.said.append(text)


def gate_of(ctx, **settings):
    return Gate("shop", Settings(**settings), Clock(now=lambda: ctx.now, chance=lambda: 0.5))


def failing(times, error=None):
    """Return work that fails so many times and then gives `done`."""
    left = [error or DestinationUnavailable("it broke off", hint="")] * times

    def work():
        if left:
            raise left.pop()
        return "done"

    return work


def test_waits_double_and_are_by_chance_shorter():
    ctx = Context()
    assert gate_of(ctx).call(ctx, failing(4)) == "done"
    assert ctx.waits == [0.25, 0.5, 1.0, 2.0]


def test_a_source_that_says_when_is_asked_then_and_not_before():
    ctx = Context()
    gate_of(ctx).call(ctx, failing(1, TooMany("too much", hint="", retry_after_s=7)))
    assert ctx.waits == [7.25]


def test_a_source_that_wants_more_than_a_task_waits_is_left_to_the_next_attempt():
    ctx = Context()
    with pytest.raises(TooMany):
        gate_of(ctx).call(ctx, failing(1, TooMany("too much", hint="", retry_after_s=4_000)))
    assert ctx.waits == []


def test_what_will_never_work_is_not_tried_again():
    ctx = Context()
    with pytest.raises(SourceRefused):
        gate_of(ctx).call(ctx, failing(1, SourceRefused("no", hint="")))
    assert ctx.waits == []


def test_after_enough_failures_in_a_row_nobody_calls_until_one_call_has_tried_it_out():
    ctx = Context()
    gate = gate_of(ctx, tries=1, rests_after=3, rests_for=60)
    for _ in range(3):
        with pytest.raises(DestinationUnavailable):
            gate.call(ctx, failing(1))
    with pytest.raises(ConnectionResting, match=r"'shop' has failed 3 times in a row.*it broke off") as resting:
        gate.call(ctx, failing(0))
    assert resting.value.retry_after_s == 60
    ctx.now += 61
    with pytest.raises(DestinationUnavailable):
        gate.call(ctx, failing(1))  # it is tried out, and rests again
    with pytest.raises(ConnectionResting):
        gate.call(ctx, failing(0))
    ctx.now += 61
    assert gate.call(ctx, failing(0)) == "done"
    assert gate.call(ctx, failing(0)) == "done"


def test_being_asked_to_come_later_is_no_failure():
    ctx = Context()
    gate = gate_of(ctx, tries=5, rests_after=2)
    assert gate.call(ctx, failing(4, TooMany("too much", hint="", retry_after_s=0))) == "done"


def test_calls_are_no_faster_than_said():
    ctx = Context()
    gate = gate_of(ctx, per_second=4)
    for _ in range(5):
        gate.call(ctx, failing(0))
    assert ctx.now == 1_001.0
