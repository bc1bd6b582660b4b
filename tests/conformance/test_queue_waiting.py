"""Waiting in a queue: why something waits, and waiting until something is ready."""

import threading
import time

from penstock.core import limits
from tests.queues import START

# ---- why it waits ----


def test_what_does_not_wait_has_no_reason(stand):
    [entry] = stand.add_many(1)
    stand.lease()
    assert stand.explain(entry.run) is None
    assert stand.explain("job_unknown") is None


def test_it_says_when_a_scheduled_entry_starts(stand):
    [entry] = stand.add_many(1, not_before=START + 90)
    waiting = stand.explain(entry.run)
    assert (waiting.code, waiting.until) == ("not_before", START + 90)
    assert waiting.sentence == "It was asked not to start before 2027-01-15 08:01:30 UTC, in 90 s."


def test_it_says_why_an_attempt_is_tried_again_later(stand):
    [entry] = stand.add_many(1, not_before=START + 4, attempt=2, reason="limit_wall")
    waiting = stand.explain(entry.run)
    assert (waiting.code, waiting.until) == ("back_off", START + 4)
    assert waiting.sentence.startswith("Attempt 1 of 3 ended with limit_wall; the next begins at 2027-01-15 08:00:04")


def test_it_names_what_was_unavailable(stand):
    [entry] = stand.add_many(1, not_before=START + 4, reason="blobs_unavailable")
    assert stand.explain(entry.run).code == "blobs_unavailable"


def test_it_says_that_there_is_no_worker(stand):
    [entry] = stand.add_many(1)
    assert stand.explain(entry.run).code == "no_worker"
    stand.heard_of("w1")
    assert stand.explain(entry.run).code == "its_turn"
    stand.clock.now += limits.WORKER_SEEN.value + 1
    assert stand.explain(entry.run).code == "no_worker"


def test_it_says_that_the_workspace_is_at_its_bound(stand):
    stand.heard_of()
    stand.bound(running_max=2)
    entries = stand.add_many(5)
    stand.lease(5)
    waiting = stand.explain(entries[-1].run)
    assert (waiting.code, waiting.before_it) == ("workspace_limit", 2)
    assert waiting.sentence == "The workspace has 2 of 2 running; 2 others of its workspace go first."


def test_it_says_that_the_script_is_at_its_bound(stand):
    stand.heard_of()
    stand.bound_lane(running_max=1)
    entries = stand.add_many(2)
    stand.lease(5)
    waiting = stand.explain(entries[-1].run)
    assert waiting.code == "script_limit"
    assert waiting.sentence == "The script has 1 of 1 running; no other of its workspace goes first."


def test_it_says_that_the_script_is_paused_and_why(stand):
    stand.heard_of()
    [entry] = stand.add_many(1)
    stand.pause()
    waiting = stand.explain(entry.run)
    assert waiting.code == "script_paused"
    assert "2027-01-15 08:00:00 UTC: 5 runs in a row were killed" in waiting.sentence


def test_it_says_how_many_go_first(stand):
    stand.heard_of("w1", slots=4, busy=4)
    stand.heard_of("w2", slots=2, busy=1)
    stand.add_many(3)
    [entry] = stand.add_many(1, "acme", "other")
    stand.add_many(5)
    stand.add_many(1, priority=5)
    waiting = stand.explain(entry.run)
    assert (waiting.code, waiting.before_it) == ("its_turn", 4)
    assert waiting.sentence == (
        "It is ready, and 5 of 6 places of 2 workers are taken; 4 others of its workspace go first."
    )


def test_counting_who_goes_first_has_an_end(stand):
    stand.heard_of()
    stand.add_many(limits.COUNTED_BEFORE.value + 5)
    [entry] = stand.add_many(1)
    waiting = stand.explain(entry.run)
    assert waiting.before_it == limits.COUNTED_BEFORE.value + 1
    assert "more than 1,000 others" in waiting.sentence


def test_it_explains_the_foremost_entry_of_a_run(stand):
    stand.heard_of()
    stand.add_many(2)
    run = stand.add(stand.entry(run="job_x", not_before=START + 60), stand.entry(run="job_x"))[0].run
    assert stand.explain(run).code == "its_turn"
    stand.lease(3)
    assert stand.explain(run).code == "not_before"


# ---- waiting ----


def test_waiting_ends_at_once_when_something_is_ready(stand):
    stand.add_many(1)
    began_s = time.monotonic()
    stand.queue.wait(60)
    assert time.monotonic() - began_s < 30


def test_waiting_ends_when_something_becomes_ready(stand):
    stand.queue.wait(0)
    adding = threading.Timer(0.2, stand.add_many, [1])
    adding.start()
    began_s = time.monotonic()
    stand.queue.wait(60)
    assert 0.1 < time.monotonic() - began_s < 30
    adding.join()
    assert len(stand.lease()) == 1


def test_waiting_has_an_end(stand):
    stand.add_many(1)
    stand.lease()
    began_s = time.monotonic()
    stand.queue.wait(0.2)
    assert 0.15 < time.monotonic() - began_s < 30


def test_a_backlog_that_may_not_go_does_not_end_the_waiting(stand):
    """Else workers would ask again and again while a script is paused."""
    stand.add_many(5)
    stand.pause()
    stand.lease()
    began_s = time.monotonic()
    stand.queue.wait(0.2)
    assert time.monotonic() - began_s > 0.15
