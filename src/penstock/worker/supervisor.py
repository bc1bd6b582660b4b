"""A worker's supervisor: takes attempts from the queue, hands them to runners, and records how they end.

One thread makes the rounds: it hears runners, and in one transaction records what has ended, with all that follows,
and leases what is next. A second keeps leases alive; it shares nothing with the first but the list of what is held, and
nobody in this process looks at a tenant's bytes, so no parse and no script can make it late. A third waits for the
queue to have something. A fourth does the chores (`chores.py`).

Whatever happens here, a lease that is not kept alive expires, and its work is done by somebody else: losing this
process loses nothing.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from penstock.core import limits
from penstock.core.errors import DatabaseUnavailable, PenstockError, SandboxUnsafe, TransientError
from penstock.core.jobs import AttemptReport, EntryId, Lease
from penstock.core.work import Assignment, Ended, Held, Round, WorkerState
from penstock.worker import messages, places
from penstock.worker.holding import Holding, Holdings, account_of, unrecordable
from penstock.worker.runners import Runner, RunnerLost
from penstock.worker.work import Work

_LOOK_S: Final = 0.25
_ROUND_GAP_S: Final = 0.002  # for each attempt that may end meanwhile
_ROUND_GAP_MOST_S: Final = 0.015
_ROUND_PAUSE_FIRST_S: Final = 0.05
_ROUND_PAUSE_MOST_S: Final = 1.0
_IDLE_PAUSE_MOST_S: Final = 0.1
_WAIT_S: Final = 0.25
_STALE_S: Final = 1.0  # work that waits here for so long is for another worker


@dataclass(slots=True)
class Supervisor:
    """One worker.

    Attributes:
        wait: returns when the queue may have something, or its time in seconds is up.
        log: of structlog's kind.
        clock_ahead_s: of the database's clock, as whoever compares them has found.
        clock: gives seconds since 1970.
    """

    state: WorkerState
    work: Work
    runners: Sequence[Runner]
    wait: Callable[[float], None]
    log: Any
    clock: Callable[[], float] = time.time
    held: Holdings = field(default_factory=Holdings)
    clock_ahead_s: float = 0.0
    _waiting: deque[Holding] = field(default_factory=deque)
    _ended: dict[EntryId, Ended] = field(default_factory=dict)
    _lost: deque[Lease] = field(default_factory=deque)
    _kept: Sequence[Lease] = ()
    _cancelled: deque[Lease] = field(default_factory=deque)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _bell: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
    _idle: threading.Event = field(default_factory=threading.Event)
    _draining_until_s: float | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _something: bool = True
    _round_again_s: float = 0.0
    _round_ended_s: float = 0.0
    _round_pause_s: float = 0.0
    _idle_pause_s: float = 0.0
    _guest_again_s: float = 0.0
    _unsafe: bool = False

    # ---- from outside ----

    def run(self) -> None:
        """Work until `drain` was called and everything is done or given back.

        Raises:
            SandboxUnsafe: when scripts cannot run safely here.
        """
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("heartbeat", self._beat), ("waker", self._wait_for_work))
        ]
        for thread in threads:
            thread.start()
        try:
            for runner in self.runners:
                if runner.channel is not None:
                    self._listen_to(runner)
            self._keep_runners()
            while not self._is_done():
                self._turn()
        finally:
            self._over.set()
            self._idle.set()
            self._leave(threads)

    def drain(self, *, seconds: float = limits.DRAIN.value) -> None:
        """Take nothing more, and end when what runs has ended or the seconds are over. Safe in a signal handler."""
        self._draining_until_s = time.monotonic() + seconds
        if not self._over.is_set():
            os.eventfd_write(self._bell, 1)

    # ---- rounds ----

    def _turn(self) -> None:
        """Hear what there is to hear, act on it, and record it."""
        self._hear(self._pause_s())
        self._keep_runners()  # once they were heard: this process may have slept, and not they
        self._heed_heartbeat()
        self._give_back()  # first: what a runner has given back must not return to it
        self._hand_out()
        if self._due_in_s() == 0.0:
            self._round()

    def _due_in_s(self) -> float | None:
        """Return when a round is due: in how many seconds, None while there is no reason for one.

        A round costs about a millisecond whatever it holds: what has ended waits a moment for others that may end, too.
        """
        if not self._ended and self._count() == 0 and not self._wants_guest():
            return None
        company = len(self.held) - len(self._ended)
        gap_s = min(company * _ROUND_GAP_S, _ROUND_GAP_MOST_S) if self._ended else 0.0
        return max(0.0, max(self._round_again_s, self._round_ended_s + gap_s) - time.monotonic())

    def _pause_s(self) -> float:
        """Return how long nothing needs to be done unless somebody speaks."""
        due_in_s = self._due_in_s()
        return _LOOK_S if due_in_s is None else min(due_in_s, _LOOK_S)

    def _hear(self, timeout_s: float) -> None:
        # A process that was stopped is told that its time is up, and nothing of what has come meanwhile.
        for key, _ in self._selector.select(timeout_s) or self._selector.select(0):
            if key.data is None:
                os.eventfd_read(self._bell)
                self._something = True
                continue
            try:
                for header, tail in key.data.receive():
                    self._heed(key.data, header, tail)
            except RunnerLost:
                self._bury(key.data)

    def _heed(self, runner: Runner, header: Mapping[str, Any], tail: bytes) -> None:
        if header["say"] == "end":
            self._end(runner, header, tail)
        elif header["say"] == "back":
            self._take_back(runner, EntryId(header["id"]), header["token"])
        elif header["say"] == "alive":
            self.held.hear(header)
        elif header["say"] == "ready":
            self._heed_ready(runner, header["level"], header["error"])

    def _heed_ready(self, runner: Runner, level: str, error: Mapping[str, Any] | None) -> None:
        if error is None and level != "none":
            runner.level = level
            self.state = replace(self.state, sandbox_level=level)
        self._unsafe = error is None and level == "none"  # else it may be better the next time
        self.log.info("runner.started", runner=runner.number, sandbox=level, error=error)

    def _end(self, runner: Runner, header: Mapping[str, Any], tail: bytes) -> None:
        entry, token = EntryId(header["id"]), header["token"]
        was_guest = runner.forget(entry, token)
        holding = self.held.find(entry, token)
        if holding is None:  # it was lost meanwhile, and is another's
            return
        report = messages.read_report(header, tail)
        self._note_end(holding, report, started_at=header["started_at"], finished_at=header["finished_at"])
        if not was_guest:
            self.held.learn(header["finished_at"] - header["started_at"])

    def _note_end(
        self, holding: Holding, report: AttemptReport, *, started_at: float | None = None, finished_at: float = 0.0
    ) -> None:
        now = self.clock()
        holding.runner = None
        ended = Ended(holding.lease, report, started_at or now, finished_at or now)
        self._ended[holding.lease.entry.id] = ended

    def _count(self) -> int:
        """Return how many more to lease now."""
        if self._draining_until_s is not None or not (self._something or self._ended):
            return 0
        threads = places.threads_of(self.runners)
        if not threads:
            return 0
        guests = sum(runner.guest is not None for runner in self.runners)
        room = self.held.wanted(threads=threads) - (len(self.held) - guests)
        return max(0, min(room, limits.LEASE_BATCH.value * len(self.runners)))

    def _wants_guest(self) -> bool:
        """Return whether to ask for an attempt of a workspace that runs nothing: now and then, while all is taken."""
        if self._draining_until_s is not None or time.monotonic() < self._guest_again_s:
            return False
        return places.busy(self.runners) >= places.threads_of(self.runners) and bool(places.host_of(self.runners))

    def _round(self) -> None:
        ended, count = list(self._ended.values()), self._count()
        guests = not count and self._wants_guest()
        try:
            given = self.work.round(self.state.id, ended, count=1 if guests else count, guests=guests)
        except TransientError as error:
            self._put_off(error)
            return
        except Exception as error:  # noqa: BLE001  # the worker loop: what cannot be recorded must not end it
            self._put_off(error)
            self._try_one_by_one(ended)
            return
        if self._round_pause_s:
            self.log.info("database.recovered")
        self._round_pause_s = self._round_again_s = 0.0
        self._round_ended_s = time.monotonic()
        self._settle(ended)
        if guests and not given.assignments:
            self._guest_again_s = time.monotonic() + _LOOK_S
        self._take(given.assignments, asked=count)
        self._account(ended, given)  # once runners have what is next

    def _put_off(self, error: Exception) -> None:
        """Try again in a moment: what runs goes on, and what has ended waits here."""
        if not self._round_pause_s:
            code = error.code if isinstance(error, PenstockError) else type(error).__name__
            self.log.warning("round.failed", code=code, error=str(error), exc_info=not isinstance(error, PenstockError))
        self._round_pause_s = min(_ROUND_PAUSE_MOST_S, max(_ROUND_PAUSE_FIRST_S, 2 * self._round_pause_s))
        self._round_again_s = time.monotonic() + self._round_pause_s

    def _try_one_by_one(self, ended: Sequence[Ended]) -> None:
        """Record ends apart, so that one that cannot be recorded harms no other; that one has crashed."""
        for each in ended:
            for report in (each.report, unrecordable()):
                attempt = replace(each, report=report)
                try:
                    given = self.work.round(self.state.id, [attempt], count=0)
                except DatabaseUnavailable:
                    return
                except Exception as error:  # noqa: BLE001  # as above
                    self.log.error("attempt.not_recorded", entry=each.lease.entry.id, error=type(error).__name__)
                else:
                    self._settle([attempt])
                    self._account([attempt], given)
                    break
            else:
                self._settle([each])  # its lease expires, and the queue counts the attempt

    def _settle(self, ended: Sequence[Ended]) -> None:
        for each in ended:
            self._ended.pop(each.lease.entry.id, None)
        self.held.drop([each.lease for each in ended])

    def _account(self, ended: Sequence[Ended], given: Round) -> None:
        for each in ended:
            self.log.info("attempt.finished", **account_of(each, refused=each.lease.entry.id in given.refused))

    def _take(self, assignments: Sequence[Assignment], *, asked: int) -> None:
        if asked:
            # Less than was asked for: there is no more, and the waker says when there is.
            self._something = len(assignments) >= asked
            self._idle_pause_s = 0.0 if assignments else min(_IDLE_PAUSE_MOST_S, max(0.002, 2 * self._idle_pause_s))
            if not self._something:
                self._idle.set()
        for older in self.held.of(assignments):  # it was lost and came back here before the heartbeat could tell
            self._lose(older)
        self._waiting.extend(self.held.add(assignments))
        self._hand_out()

    # ---- attempts ----

    def _hand_out(self) -> None:
        """Give waiting attempts to the runners with most room, and the guest place to the first that may have it."""
        while self._waiting:
            runner = max(self.runners, key=lambda each: each.room)
            if runner.room <= 1 and self._give_guest():  # else it would wait for what runs
                continue
            if runner.room <= 0:
                return
            self._give(self._waiting.popleft(), runner)

    def _give_guest(self) -> bool:
        host = places.host_of(self.runners)
        guest = None if host is None else places.guest_among(self._waiting, self.held.all())
        if host is None or guest is None:
            return False
        self._waiting.remove(guest)
        self._give(guest, host, guest=True)
        return True

    def _give(self, holding: Holding, runner: Runner, *, guest: bool = False) -> None:
        if self.held.find(holding.lease.entry.id, holding.lease.token) is not holding:
            return
        holding.runner = runner
        try:
            runner.send(holding.assignment, guest=guest)
        except RunnerLost:
            self._bury(runner)

    def _take_back(self, runner: Runner, entry: EntryId, token: int) -> None:
        """Take an attempt from a runner that has not begun it."""
        runner.forget(entry, token)
        if (holding := self.held.find(entry, token)) is not None:
            holding.runner = None
            self._waiting.append(holding)

    def _give_back(self) -> None:
        """Give back what has waited here for too long, or what will not be begun any more."""
        before_s = time.monotonic() - _STALE_S
        if time.monotonic() < self._round_again_s:
            return
        if self._draining_until_s is not None:
            stale = list(self._waiting)
        else:
            stale = [holding for holding in self._waiting if holding.taken_s < before_s]
            self._recall(before_s)
        if stale:
            self.held.mean_s = max(self.held.mean_s, _STALE_S)  # to take less ahead, until some have ended
            self._release(stale, reason="worker_drained" if self._draining_until_s is not None else "worker_busy")

    def _recall(self, before_s: float) -> None:
        """Ask runners for what has waited there too long, once each."""
        for runner in self.runners:
            for lease in runner.not_begun:
                holding = self.held.find(lease.entry.id, lease.token)
                if holding is not None and holding.taken_s < before_s and not holding.recalled:
                    holding.recalled = True
                    self._tell_runner(runner, messages.recall_frame(lease))

    def _release(self, holdings: Sequence[Holding], *, reason: str) -> None:
        leases = [holding.lease for holding in holdings]
        try:
            self.work.release(self.state.id, leases, reason=reason)
        except TransientError as error:  # they stay here meanwhile: nobody else could have them
            self._put_off(error)
            return
        gone = {id(holding) for holding in holdings}
        self._waiting = deque(holding for holding in self._waiting if id(holding) not in gone)
        self.held.drop(leases)

    def _heed_heartbeat(self) -> None:
        kept, self._kept = self._kept, ()  # before what was lost: a runner hears that first
        while self._lost:
            lease = self._lost.popleft()
            holding = self.held.find(lease.entry.id, lease.token)
            if holding is not None and holding.lease.entry.id not in self._ended:
                self._lose(holding)
        while self._cancelled:
            lease = self._cancelled.popleft()
            holding = self.held.find(lease.entry.id, lease.token)
            if holding is not None and not holding.stopping:
                self._cancel(holding)
        if kept:
            self._tell_held(kept)

    def _tell_held(self, kept: Sequence[Lease]) -> None:
        """Let runners know until when they may do what cannot be taken back."""
        held = {(lease.entry.id, lease.token): lease for lease in kept}
        for runner in self.runners:
            own = [lease for lease in runner.all_at_hand if (lease.entry.id, lease.token) in held]
            if own:
                self._tell_runner(runner, messages.held_frame(held[lease.entry.id, lease.token] for lease in own))

    def _lose(self, holding: Holding) -> None:
        entry = holding.lease.entry
        self.log.warning("lease.lost", entry=entry.id, run=entry.run, part=entry.part)
        self._stop(holding)
        self.held.drop([holding.lease])

    def _cancel(self, holding: Holding) -> None:
        holding.stopping = True
        if holding.runner is not None:
            self._stop(holding)
        elif holding.lease.entry.id not in self._ended:
            error = {"code": "cancelled", "message": "it was cancelled before it began", "hint": "Submit it again."}
            self._note_end(holding, AttemptReport("cancelled", error=error))

    def _stop(self, holding: Holding) -> None:
        if (runner := holding.runner) is not None:
            self._tell_runner(runner, messages.stop_frame(holding.lease))

    def _tell_runner(self, runner: Runner, frame: bytes) -> None:
        try:
            runner.say(frame)
        except RunnerLost:
            self._bury(runner)

    # ---- runners ----

    def _keep_runners(self) -> None:
        now_s = time.monotonic()
        for runner in self.runners:
            if runner.process is None:
                if now_s >= runner.again_s and self._draining_until_s is None:
                    runner.start()
                    self._something = True
                    self._listen_to(runner)
            elif runner.is_stuck():
                self._bury(runner)

    def _listen_to(self, runner: Runner) -> None:
        assert runner.channel is not None, "only a started runner is listened to"
        self._selector.register(runner.channel, selectors.EVENT_READ, runner)

    def _bury(self, runner: Runner) -> None:
        """Note the end of a runner: what it had begun has crashed, and what it had not goes back."""
        if runner.channel is not None:
            self._selector.unregister(runner.channel)
        begun, not_begun, words = runner.bury()
        self.log.warning("runner.ended", runner=runner.number, how=words, attempts=len(begun))
        error = {"code": "worker_lost", "message": f"the process that ran it ended: {words}", "hint": "See the log."}
        for lease in begun:
            if (holding := self.held.find(lease.entry.id, lease.token)) is not None:
                stopped = holding.stopping
                self._note_end(holding, AttemptReport("cancelled" if stopped else "crashed", error=error))
        for lease in not_begun:
            if (holding := self.held.find(lease.entry.id, lease.token)) is not None:
                holding.runner = None
                self._waiting.appendleft(holding)
        if self._unsafe:
            raise SandboxUnsafe("scripts cannot run safely on this machine", hint="Run: penstock doctor")

    # ---- beside the rounds ----

    def _beat(self) -> None:
        """Keep leases alive, whatever else happens."""
        failing = False
        while not self._over.wait(limits.HEARTBEAT.value / 1000):
            leases, told = self.held.leases(), self.held.take_told()
            busy, drains = places.busy(self.runners), self._draining_until_s is not None
            state = replace(
                self.state, busy=busy, clock_ahead_s=self.clock_ahead_s, state="draining" if drains else "active"
            )
            try:
                held = self.work.heartbeat(state, leases, told=told)
            except Exception as error:  # noqa: BLE001  # a worker loop: it goes on whatever happens
                self.held.late.extend(told.late)
                if not failing:
                    self.log.warning("heartbeat.failed", error=str(error), leases=len(leases))
                failing = True
            else:
                failing = False
                self._compare(leases, held)

    def _compare(self, leases: Sequence[Lease], held: Held) -> None:
        kept = {lease.entry.id for lease in held.leases}
        self._lost.extend(lease for lease in leases if lease.entry.id not in kept)
        self._cancelled.extend(
            lease for lease in leases if lease.entry.run in held.cancelled and lease.entry.part != "webhook"
        )
        self._kept = held.leases  # after what was lost
        if self._lost or self._cancelled:
            os.eventfd_write(self._bell, 1)

    def _wait_for_work(self) -> None:
        """Ring when the queue may have something, while the rounds have found that it has nothing."""
        while True:
            self._idle.wait()
            if self._over.is_set():
                return
            time.sleep(self._idle_pause_s)
            self.wait(_WAIT_S)
            self._idle.clear()  # now: a round that found nothing meanwhile is answered by this bell, too
            if not self._over.is_set():
                os.eventfd_write(self._bell, 1)

    # ---- the end ----

    def _is_done(self) -> bool:
        if self._draining_until_s is None:
            return False
        return not len(self.held) or time.monotonic() >= self._draining_until_s

    def _leave(self, threads: Sequence[threading.Thread]) -> None:
        """End the runners, give back what is left, and say good-bye."""
        late = [holding for holding in self.held.all() if holding.lease.entry.id not in self._ended]
        for runner in self.runners:
            if runner.channel is not None:
                self._selector.unregister(runner.channel)
            runner.end(gently=not runner.begun)
        if late:
            self.log.warning("worker.gave_back", attempts=len(late))
            self._release(late, reason="worker_drained")
        for thread in threads:
            thread.join(timeout=_WAIT_S + 1)
        try:
            if self._ended:
                self.work.round(self.state.id, list(self._ended.values()), count=0)
            self.work.leave(self.state.id)
        except TransientError as error:  # the row is seen to be old
            self.log.warning("leave.failed", code=error.code)
        self._selector.close()
        if not any(thread.is_alive() for thread in threads):
            os.close(self._bell)
