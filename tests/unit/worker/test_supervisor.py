"""A supervisor with runners that are threads: what it does with attempts, outages, deaths, cancels and the end."""

import contextlib
import selectors
import threading
import time

import pytest
from structlog.testing import CapturingLogger

from penstock.core import limits
from penstock.worker.supervisor import Supervisor
from tests.processes import wait_for
from tests.unit.worker.twins import MESSAGE, STATE, ThreadRunner, TwinWork


class Scene:
    """A worker that works."""

    def __init__(self, *, runners=1, threads=1):
        self.work = TwinWork()
        self.log = CapturingLogger()
        self.runners = [ThreadRunner(number, threads, {}) for number in range(runners)]
        self.supervisor = Supervisor(STATE, self.work, self.runners, self.work.wait, self.log)
        self.error = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            self.supervisor.run()
        except BaseException as error:  # noqa: BLE001  # the test looks at it
            self.error = error

    def drain(self, *, seconds=5.0):
        """Let it end."""
        self.supervisor.drain(seconds=seconds)
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()

    def let_go(self):
        """Let every script that waits go on."""
        for runner in self.runners:
            runner.parts.script.going.set()

    def begun(self, number=1):
        """Wait until so many scripts have begun to wait."""
        for _ in range(number):
            assert self.runners[0].parts.script.begun.acquire(timeout=5)

    def ended(self, *entries):
        """Wait until all these have ended, and return how."""
        wait_for(lambda: set(entries) <= set(self.work.outcomes()))
        return [self.work.outcomes()[entry] for entry in entries]

    def events(self, name):
        """The fields of every log line of a kind."""
        return [call.kwargs for call in self.log.calls if call.args == (name,)]


@pytest.fixture
def start():
    """Give a function that starts a worker; it is drained at the end."""
    with contextlib.ExitStack() as stack:

        def started(**options):
            scene = Scene(**options)
            scene.thread.start()
            stack.callback(scene.drain, seconds=0)
            stack.callback(scene.let_go)
            return scene

        yield started


def test_attempts_are_carried_out_and_recorded(start):
    scene = start(runners=2, threads=2)
    entries = scene.work.add(*[b"a%d" % number for number in range(50)])
    assert scene.ended(*entries) == ["succeeded"] * 50
    reports = [ended.report for ended in scene.work.ended]
    assert {(report.report["records"], report.cpu_s) for report in reports} == {(1, 0.125)}
    outputs = [output for report in reports for output in report.small.values()]
    assert sorted(outputs) == sorted(b"a%d\n" % number for number in range(50))


def test_what_comes_later_is_noticed(start):
    scene = start()
    scene.ended(*scene.work.add(b"a"))
    time.sleep(0.05)
    started_s = time.monotonic()
    scene.ended(*scene.work.add(b"b"))
    assert time.monotonic() - started_s < 10


def test_what_runs_alone_is_recorded_as_soon_as_it_has_ended(start, monkeypatch):
    _let_ends_wait(monkeypatch)
    scene = start(threads=2)
    for line in (b"a", b"b", b"c"):
        assert scene.ended(*scene.work.add(line)) == ["succeeded"]


def test_an_end_waits_a_little_for_those_of_others_that_run(start, monkeypatch):
    _let_ends_wait(monkeypatch)
    scene = start(threads=2)
    entries = scene.work.add(b"wait", b"a")
    scene.begun()
    time.sleep(0.2)
    assert not scene.work.ended, "more may end in a moment, and one transaction is enough for all"
    scene.let_go()
    assert scene.ended(*entries) == ["succeeded"] * 2


def _let_ends_wait(monkeypatch):
    """Let an end wait for those of others for longer than a test lasts."""
    for name in ("_ROUND_GAP_S", "_ROUND_GAP_MOST_S"):
        monkeypatch.setattr(f"penstock.worker.supervisor.{name}", 600.0)


def test_each_attempt_is_told_in_one_line_without_values(start):
    scene = start()
    scene.ended(*scene.work.add(b"secret"))
    (line,) = wait_for(lambda: scene.events("attempt.finished"))
    assert (line["run"], line["outcome"], line["records"], line["cpu_ms"]) == ("job_1", "succeeded", 1, 125.0)
    assert "secret" not in str(scene.log.calls)


def test_leases_are_kept_alive_while_scripts_run_and_by_the_worker_s_state(start):
    scene = start()
    scene.work.add(b"wait", b"wait", b"wait")
    scene.begun()
    before = len(scene.work.beats)
    wait_for(lambda: len(scene.work.beats) > before + 1)
    state, leases = scene.work.beats[-1]
    assert leases >= 1
    assert (state.busy, state.state) == (1, "active"), "no more places are taken than there are"
    wait_for(lambda: scene.work.beats[-1][0].sandbox_level == "landlock+seccomp")
    scene.supervisor.clock_ahead_s = 2.5
    assert wait_for(lambda: scene.work.beats[-1][0].clock_ahead_s == 2.5)


def test_cpu_time_that_a_runner_tells_late_is_counted_once_also_when_the_database_was_away(start):
    scene = start()
    scene.work.down = True
    (runner,) = scene.runners
    runner.parts.late = {"ws_1": 0.5}
    wait_for(lambda: scene.events("heartbeat.failed") and not runner.parts.late)
    scene.work.down = False
    wait_for(lambda: scene.work.late)
    before = len(scene.work.beats)
    wait_for(lambda: len(scene.work.beats) > before + 1)
    assert scene.work.late == [("ws_1", 0.5)]


def test_how_far_an_attempt_is_goes_with_the_heartbeat_once_and_never_back(start):
    scene = start()
    (entry,) = scene.work.add(b"wait")
    scene.begun()
    (runner,) = scene.runners
    for done in (20, 10, 30):
        runner.parts.script.done[0] = done
        wait_for(lambda: scene.work.done and scene.work.done[-1][1] >= done)  # noqa: B023  # it is waited for here
    assert scene.work.done == [(entry, 20), (entry, 30)]


def test_a_database_that_is_down_loses_nothing_and_refuses_nothing(start):
    scene = start()
    (entry,) = scene.work.add(b"wait")
    scene.begun()
    scene.work.down = True
    scene.let_go()
    wait_for(lambda: scene.events("round.failed"))
    time.sleep(0.3)
    assert not scene.work.ended
    scene.work.down = False
    assert scene.ended(entry) == ["succeeded"]
    assert len(scene.events("round.failed")) == 1
    assert wait_for(lambda: scene.events("database.recovered"))


def test_a_report_that_cannot_be_recorded_harms_no_other(start):
    scene = start()
    entries = scene.work.add(b"a", b"b", b"c")
    scene.work.poison.add(entries[1])
    assert scene.ended(*entries) == ["succeeded", "crashed", "succeeded"]


def test_a_bug_in_an_attempt_is_a_crash_with_its_place_and_no_values(start):
    scene = start()
    assert scene.ended(*scene.work.add(b"boom")) == ["crashed"]
    error = scene.work.ended[0].report.error
    assert error["code"] == "bug"
    assert "ZeroDivisionError at twins.py:" in error["message"]


def test_a_runner_that_dies_is_started_again_and_only_what_it_had_begun_has_crashed(start):
    scene = start()
    entries = scene.work.add(b"wait", b"later")
    scene.begun()
    wait_for(lambda: len(scene.runners[0].at_hand) == 2)
    scene.let_go()
    scene.runners[0].parts.script.going.clear()
    scene.runners[0].die()
    assert scene.ended(*entries) == ["crashed", "succeeded"]
    assert scene.work.ended[0].report.error["code"] == "worker_lost"
    assert scene.runners[0].starts == 2


def test_runners_that_were_started_before_their_supervisor_are_not_started_again():
    scene = Scene()
    scene.runners[0].start()
    scene.thread.start()
    assert scene.ended(*scene.work.add(b"a")) == ["succeeded"]
    assert scene.runners[0].starts == 1
    scene.drain()


def test_a_runner_that_says_nothing_for_too_long_is_ended_and_started_again(start):
    scene = start()
    (entry,) = scene.work.add(b"wait")
    scene.begun()
    scene.runners[0].heard_s -= limits.RUNNER_SILENT.value + 1
    assert scene.ended(entry) == ["crashed"]
    assert wait_for(lambda: scene.runners[0].starts == 2)


def test_a_cancelled_job_is_stopped_while_it_runs_and_before_it_has_begun(start):
    scene = start()
    entries = scene.work.add(b"wait", b"wait", b"wait", b"wait")
    scene.begun()
    scene.work.cancelled |= {"job_1", "job_3"}
    assert scene.ended(entries[0], entries[2]) == ["cancelled", "cancelled"]
    scene.let_go()
    assert scene.ended(entries[1], entries[3]) == ["succeeded", "succeeded"]


def test_the_webhook_of_a_cancelled_job_is_sent_all_the_same(start):
    scene = start()
    scene.work.cancelled.add("job_1")
    (entry,) = scene.work.add(b"wait", part="webhook")
    assert scene.ended(entry) == ["failed"], "there is no message in it"


def test_what_was_lost_is_stopped_and_not_recorded(start):
    scene = start()
    entries = scene.work.add(b"wait", b"a")
    scene.begun()
    scene.work.lost.add(entries[0])
    assert scene.ended(entries[1]) == ["succeeded"]
    assert wait_for(lambda: scene.events("lease.lost"))[0]["entry"] == entries[0]
    assert entries[0] not in scene.work.outcomes()


def test_what_was_lost_and_comes_back_at_once_is_stopped_and_begun_anew(start):
    scene = start()
    (entry,) = scene.work.add(b"wait")
    scene.begun()
    scene.work.lend_again(entry, b"a")
    assert scene.ended(entry) == ["succeeded"]
    assert [ended.lease.token for ended in scene.work.ended] == [2]
    assert [event["entry"] for event in scene.events("lease.lost")] == [entry]
    assert wait_for(lambda: not scene.runners[0].at_hand)


def test_a_supervisor_that_was_stopped_hears_its_runners_before_it_judges_them():
    class Stopped(selectors.DefaultSelector):
        def select(self, timeout=None):
            """Find nothing, as after a stop that was longer than the timeout."""
            if timeout:
                time.sleep(0.005)
                return []
            return super().select(timeout)

    scene = Scene()
    scene.supervisor._selector = Stopped()
    scene.thread.start()
    try:
        assert scene.ended(*scene.work.add(b"a", b"b")) == ["succeeded"] * 2
    finally:
        scene.drain()


def test_an_attempt_knows_by_heartbeats_that_it_may_do_what_cannot_be_taken_back(start):
    scene = start()
    (entry,) = scene.work.add(b"", part="webhook", message=MESSAGE)
    assert scene.ended(entry) == ["succeeded"], "its lease had run out, and was said to hold"
    assert scene.runners[0].parts.egress.sent == [MESSAGE.url]


def test_an_end_that_comes_too_late_is_told_as_refused(start):
    scene = start()
    (entry,) = scene.work.add(b"a")
    scene.work.lost.add(entry)
    assert wait_for(lambda: scene.events("attempt.finished"))[0]["outcome"] == "refused"


def test_work_that_waits_behind_a_long_attempt_goes_to_other_workers(start):
    scene = start()
    entries = scene.work.add(*[b"wait"] * 6)
    scene.begun()
    wait_for(lambda: scene.work.released)
    assert {reason for _, reason in scene.work.released} == {"worker_busy"}
    assert entries[0] not in dict(scene.work.released)


def test_a_workspace_that_runs_nothing_is_a_guest_where_another_holds_every_place(start):
    scene = start(threads=2)
    scene.work.add(*[b"wait"] * 6)
    scene.begun(2)
    first, second = scene.work.add(b"a", b"b", workspace="ws_2")
    assert scene.ended(first, second) == ["succeeded", "succeeded"]
    assert [ended.lease.entry.workspace for ended in scene.work.ended] == ["ws_2", "ws_2"]
    assert not scene.runners[0].parts.script.begun.acquire(blocking=False), "who runs something is no guest"


def test_a_guest_is_asked_for_now_and_then_and_not_in_every_round(start):
    scene = start()
    scene.work.add(*[b"wait"] * 2)
    scene.begun()
    wait_for(lambda: scene.work.released)
    before = len(scene.work.rounds)
    time.sleep(1.0)
    assert 2 <= len(scene.work.rounds) - before <= 8


def test_a_guest_that_dies_with_its_runner_has_crashed(start):
    scene = start()
    scene.work.add(b"wait")
    scene.begun()
    (guest,) = scene.work.add(b"wait", workspace="ws_2")
    scene.begun()
    scene.runners[0].die()
    assert scene.ended(guest) == ["crashed"]


def test_what_has_not_begun_behind_a_long_attempt_is_given_back_by_the_runner(start):
    scene = start()
    entries = scene.work.add(*[b"wait"] * 2)
    scene.begun()
    wait_for(lambda: scene.work.released)
    assert scene.work.released == [(entries[1], "worker_busy")]
    scene.let_go()
    assert scene.ended(entries[0]) == ["succeeded"]


def test_what_cannot_be_given_back_now_is_given_back_later_and_not_lost(start):
    scene = start()
    entries = scene.work.add(*[b"wait"] * 3)
    scene.begun()
    wait_for(lambda: len(scene.supervisor.held) == 3)
    scene.work.down = True
    wait_for(lambda: scene.events("round.failed"))
    assert len(scene.supervisor.held) == 3, "or their leases would expire"
    scene.work.down = False
    wait_for(lambda: {entry for entry, _ in scene.work.released} == {entries[1], entries[2]})


def test_leases_that_are_taken_ahead_follow_from_how_long_attempts_take():
    holdings = Scene().supervisor.held
    holdings.mean_s = 1.0
    assert holdings.wanted(threads=4) == 4
    holdings.mean_s = 0.02
    assert holdings.wanted(threads=4) == 4 + 20
    holdings.mean_s = 0.0
    assert holdings.wanted(threads=4) == 4 + 4 * limits.LEASE_BATCH.value


def test_a_worker_that_drains_finishes_what_runs_and_gives_back_the_rest(start):
    scene = start()
    entries = scene.work.add(*[b"wait"] * 3)
    scene.begun()
    wait_for(lambda: len(scene.supervisor.held) == 3)
    scene.supervisor.drain(seconds=5)
    wait_for(lambda: scene.work.released)
    assert scene.work.released == [(entries[2], "worker_drained")]
    scene.let_go()
    scene.drain()
    assert scene.work.outcomes() == {entries[0]: "succeeded", entries[1]: "succeeded"}
    assert scene.work.left


def test_what_does_not_finish_in_time_goes_back_untried(start):
    scene = start()
    (entry,) = scene.work.add(b"wait")
    scene.begun()
    scene.drain(seconds=0.1)
    assert scene.work.released == [(entry, "worker_drained")]
    assert not scene.work.ended


def test_an_idle_worker_ends_at_once(start):
    scene = start()
    scene.ended(*scene.work.add(b"a"))
    started_s = time.monotonic()
    scene.drain()
    assert time.monotonic() - started_s < 10
    assert scene.work.left
