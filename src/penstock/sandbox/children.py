"""Parked children: kept ready ahead of need, used for one chunk (isolated) or for many of one version (warm)."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import orjson

from penstock.core import limits
from penstock.core.errors import SandboxUnavailable
from penstock.sandbox.arenas import Arena
from penstock.sandbox.meters import Meter, cpu_s_of
from penstock.sandbox.zygotes import NOBODY, VersionZygote, kill_child, kill_if_alive
from penstock_guest import wire

_PROCESS_IDS: Final = 2**22  # source: PID_MAX_LIMIT in include/linux/threads.h


@dataclass(frozen=True, slots=True)
class Death:
    """A child that ended without a valid reply: which limit or signal, and how far it had come."""

    code: str
    detail: str
    mark: wire.Mark
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What a child answered; untrusted, but its parts lie where they say they lie."""

    message: dict[str, Any]
    output: bytes
    dead_letters: bytes


class Seat:
    """Arenas and, while one sits there, a child."""

    def __init__(self, number: int, *, input_bytes: int, output_bytes: int) -> None:
        self.number = number
        self.input = Arena("input", input_bytes, writable=False) if input_bytes else None
        self.output = Arena("output", output_bytes + wire.HEADER_BYTES, writable=True)
        self.reset()

    def reset(self) -> None:
        """Forget the child that sat here."""
        self.channel: socket.socket | None = None
        self.theirs: socket.socket | None = None  # the child's end, until it has it
        self.leaves = False  # its zygote waits for its end
        self.pid: int | None = None
        self.runs = 0
        self.records = 0  # of the request at hand
        self.seated_s = time.monotonic()
        self.end: dict[str, Any] | None = None
        self.ended = threading.Event()
        self.in_use = False
        self.unheard = False  # its child had ended before it was asked for anything
        self.meter: Meter | None = None  # of whoever used its child last
        self.counted_cpu_s = 0.0
        self.left_s: float | None = None  # when its child had given its reply

    def close(self) -> None:
        """Give the memory back."""
        for end in filter(None, (self.channel, self.theirs)):
            end.close()
        if self.input is not None:
            self.input.close()
        self.output.close()


class Children:
    """The children of one version zygote.

    A seat is free again when two things have happened, in either order: its child has ended, and its output has been
    copied out. There are more seats than children, so that the next child need not wait for that.

    Args:
        zygote: prepared; closed with this.
        seats: how many children may exist at once, parked or working.
        spec: the same that the zygote was prepared with.
        input_fd: a regular file that children see as their input, instead of memory that `run` fills.
    """

    def __init__(self, zygote: VersionZygote, spec: dict[str, Any], *, seats: int, input_fd: int | None = None) -> None:
        self._zygote = zygote
        self._spec = spec
        self._input_fd = input_fd
        input_bytes = 0 if input_fd is not None else spec["input_bytes"]
        count = seats + max(1, seats // 4) if seats > 1 else 1
        self._seats = [
            Seat(number, input_bytes=input_bytes, output_bytes=spec["output_bytes"]) for number in range(count)
        ]
        self._parked: deque[Seat] = deque()
        self._free: deque[Seat] = deque()
        self._owed = 0  # children to be parked as soon as there are free seats
        self._change = threading.Condition()
        self._closed = False
        try:
            for seat in self._seats:
                self._make_ready(seat)
            with self._change:
                for _ in range(seats):
                    self._park(self._free.popleft())
        except OSError as error:
            for seat in self._seats:
                seat.close()
            zygote.close()
            raise SandboxUnavailable(f"the zygote of {spec['name']} has ended", hint="Run: penstock doctor") from error
        self._keeper = threading.Thread(target=self._keep, name=f"keeper-{zygote.pid}", daemon=True)
        self._keeper.start()

    def run(self, request: dict[str, Any], data: bytes = b"", *, records: int = 0) -> Reply | Death:
        """Give one request about so many records to a child and wait for its reply or its end."""
        seat = self.take()
        seat.records = records
        try:
            return self.ask(seat, request, data)
        finally:
            self.give_back(seat)

    def take(self, *, meter: Meter | None = None) -> Seat:
        """Wait for a parked child and make it this thread's own.

        Args:
            meter: counts the CPU time that it uses.

        Raises:
            SandboxUnavailable: when the zygote is gone or children die before they are parked.
        """
        deadline_s = time.monotonic() + limits.ZYGOTE_START.value
        with self._change:
            while self._closed or not self._parked:
                if self._closed or time.monotonic() > deadline_s:
                    raise SandboxUnavailable(f"no child of {self._spec['name']} is left", hint="Run: penstock doctor")
                if not self._change.wait(timeout=limits.CHILD_EXIT.value):
                    self._end_lingering()
            seat = self._parked.popleft()
            seat.in_use, seat.meter = True, meter
        if seat.pid is None:
            self._await_parked(seat)
        return seat

    def ask(self, seat: Seat, request: dict[str, Any], data: bytes = b"") -> Reply | Death:
        """Send one request to a child and wait for its reply or its end.

        Raises:
            SandboxUnavailable: when it was killed before it was asked, or ends with its zygote.
        """
        self.tell(seat, request, data)
        return self.hear(seat)

    def tell(self, seat: Seat, request: dict[str, Any], data: bytes = b"") -> None:
        """Send one request to a child."""
        assert seat.channel is not None, "a seat taken has a channel"
        message = orjson.dumps(request)
        if len(message) > wire.MESSAGE_BYTES_MAX:
            message, data = orjson.dumps({wire.BEHIND: [len(data), len(message)]}), data + message
        if seat.input is not None:
            seat.input.fill(data)
        seat.runs += 1
        try:
            seat.channel.send(message, socket.MSG_DONTWAIT)
        except BlockingIOError:  # a child that has left so many requests unread will read no more
            self._kill(seat, "no_result", "it does not listen")
        except (BrokenPipeError, ConnectionResetError):
            seat.unheard = seat.runs == 1  # hear() finds out how it ended

    def hear(self, seat: Seat) -> Reply | Death:
        """Wait for a child's reply or its end, no longer than the wall time of its limits."""
        assert seat.channel is not None, "a seat taken has a channel"
        try:
            answer = seat.channel.recv(wire.MESSAGE_BYTES_MAX)
        except BlockingIOError:
            return self._kill(seat, "limit_wall", f"it took longer than {self._spec['wall_s']:g} s")
        except ConnectionResetError:
            answer = b""
        return self._reply(seat, answer) if answer else self._death(seat)

    def give_back(self, seat: Seat) -> None:
        """Let a seat go: a warm child that lives is parked again, any other is on its way out."""
        with self._change:
            seat.in_use = False
            seat.left_s = time.monotonic()
            self._end_lingering()
            if self._may_stay(seat):
                self._parked.append(seat)
                self._change.notify()
            else:
                self._replace(seat)

    @property
    def alive(self) -> bool:
        """Whether children can still be taken."""
        return not self._closed

    @property
    def kept_bytes(self) -> int:
        """How much memory the seats hold on to between runs."""
        return sum(arena.used_bytes for seat in self._seats for arena in (seat.input, seat.output) if arena is not None)

    def measure(self, seat: Seat) -> None:
        """Count the CPU time that the child of a seat has used until now; its very end is counted once that is told."""
        with self._change:
            if seat.meter is not None and seat.pid is not None and not seat.leaves:
                self._count_cpu(seat, cpu_s_of(seat.pid))

    def await_end(self, seat: Seat, *, timeout_s: float) -> bool:
        """Wait for word of the end of a child that is going, or is dead; return whether it came in time."""
        self._ask_end(seat)
        deadline_s = time.monotonic() + timeout_s
        while not seat.ended.wait(timeout=max(0.0, min(limits.CHILD_EXIT.value, deadline_s - time.monotonic()))):
            if time.monotonic() >= deadline_s:
                return False
            with self._change:
                self._end_lingering()  # one of them may be what the zygote waits for
        return True

    def end(self, seat: Seat) -> None:
        """Kill the child of a seat that is in use; whoever waits for it is told."""
        if seat.pid is not None:
            kill_child(seat.pid, parent=self._zygote.pid)

    def stop(self) -> None:
        """End all children and the zygote; whoever waits for one of them is told."""
        self._measure_all()
        with self._change:
            self._closed = True
            self._change.notify_all()
        kill_if_alive(self._zygote.pid, self._zygote.channel)
        self._keeper.join()

    def _measure_all(self) -> None:
        """Count the CPU time of all children: nobody will tell how they end, but of those that are on their way out."""
        with self._change:
            for seat in self._seats:
                self.measure(seat)
            leaving = [seat for seat in self._seats if seat.meter is not None and seat.leaves]
            ends = [seat.ended for seat in leaving]
            for seat in leaving:
                self.end(seat)
        deadline_s = time.monotonic() + limits.CHILD_EXIT.value
        for end in ends:
            end.wait(max(0.0, deadline_s - time.monotonic()))

    def close(self) -> None:
        """Stop, and give the memory back."""
        self.stop()
        self._zygote.close()
        for seat in self._seats:
            seat.close()

    def _end_lingering(self) -> None:
        """Kill what has given its reply long ago and does not go."""
        before_s = time.monotonic() - limits.CHILD_EXIT.value
        for seat in self._seats:
            lingers = seat.left_s is not None and seat.left_s < before_s and not seat.in_use
            if lingers and seat.pid is not None and seat not in self._parked:
                kill_child(seat.pid, parent=self._zygote.pid)

    def _may_stay(self, seat: Seat) -> bool:
        if not self._spec["warm"] or seat.leaves or seat.runs >= limits.WARM_RUNS.value:
            return False
        return time.monotonic() - seat.seated_s < limits.WARM_AGE.value

    def _make_ready(self, seat: Seat) -> None:
        seat.reset()
        seat.channel, seat.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        seat.channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(self._spec["wall_s"]))
        self._free.append(seat)

    def _park(self, seat: Seat, *, leaving: int = NOBODY) -> None:
        """Ask for a child in a free seat, and for word of the end of another."""
        assert seat.theirs is not None, "a free seat has both ends of its channel"
        with seat.theirs:
            input_fd = seat.input.fd if seat.input is not None else self._input_fd
            assert input_fd is not None, "children have memory or a file as their input"
            ahead = seat.input.used_bytes if seat.input is not None else 0, seat.output.used_bytes
            fds = [seat.theirs.fileno(), input_fd, seat.output.fd]
            self._zygote.turn(park=seat.number, fds=fds, ahead=ahead, leaving=leaving)
        seat.theirs, seat.seated_s = None, time.monotonic()
        self._parked.append(seat)
        self._change.notify()

    def _replace(self, seat: Seat) -> None:
        """Park another child for one that goes or has gone."""
        if self._closed:
            return
        if self._spec["warm"] and seat.channel is not None:
            seat.channel.close()  # it reads the end of its channel, and goes
        try:
            if seat.ended.is_set():
                self._owed += 1
                self._clear(seat)
            elif self._free and not seat.leaves:
                self._leave(seat)
                self._park(self._free.popleft(), leaving=seat.number)
            else:
                self._owed += 1
                self._ask_end(seat)
        except OSError:  # the zygote is gone; whoever waits is told
            self._closed = True

    def _ask_end(self, seat: Seat) -> None:
        with self._change:
            if not seat.leaves:
                self._leave(seat)
                with contextlib.suppress(OSError):  # the zygote is gone, and its children with it
                    self._zygote.turn(leaving=seat.number)

    def _leave(self, seat: Seat) -> None:
        self.measure(seat)  # until its end is asked for, its number is its own, dead or alive
        seat.leaves = True

    def _await_parked(self, seat: Seat) -> None:
        assert seat.channel is not None, "a parked seat has a channel"
        word = b""
        with contextlib.suppress(OSError):  # it died, or hangs, before tenant code was near it
            word = seat.channel.recv(64)
        pid = int.from_bytes(word, sys.byteorder)
        if not 0 < pid < _PROCESS_IDS:
            self.give_back(seat)
            raise self._ended_parked()
        seat.pid = pid

    def _ended_parked(self) -> SandboxUnavailable:
        return SandboxUnavailable(
            f"a child of {self._spec['name']} ended while it was parked", hint="Run: penstock doctor"
        )

    def _keep(self) -> None:
        """Take note of every child that ends, and put a new one in its place, until the zygote is gone."""
        while (ended := self._next_end()) is not None:
            seat, seat_end = ended
            with self._change:
                seat.end = seat_end
                self._count_cpu(seat, seat_end["cpu_s"])
                seat.ended.set()
                if not seat.in_use:
                    self._clear(seat)
        with self._change:
            self._closed = True
            for seat in self._seats:  # nobody is left to tell how they end; with their zygote they do
                seat.ended.set()
            self._change.notify_all()

    def _count_cpu(self, seat: Seat, cpu_s: float) -> None:
        if seat.meter is not None and cpu_s > seat.counted_cpu_s:
            seat.meter.add(cpu_s - seat.counted_cpu_s)
            seat.counted_cpu_s = cpu_s

    def _next_end(self) -> tuple[Seat, dict[str, Any]] | None:
        """Wait for the zygote to say which child has ended; None when it is gone, or says what makes no sense."""
        ended = self._zygote.next_end()
        if ended is None or not 0 <= ended[0] < len(self._seats):
            return None
        seat = self._seats[ended[0]]
        # A child that dies unasked is not waited for: whoever takes its seat finds it.
        return (seat, ended[1]) if seat.leaves and not seat.ended.is_set() else None

    def _clear(self, seat: Seat) -> None:
        """Make a seat free whose child has ended and whose output has been copied out; park what is owed."""
        if self._closed:
            return
        if seat.channel is not None:
            seat.channel.close()
        for arena in filter(None, (seat.input, seat.output)):
            arena.scrub()
        self._make_ready(seat)
        if self._owed:
            self._owed -= 1
            try:
                self._park(self._free.popleft())
            except OSError:  # the zygote is gone; whoever waits is told
                self._closed = True
                self._change.notify_all()

    def _reply(self, seat: Seat, answer: bytes) -> Reply | Death:
        try:
            message = orjson.loads(answer)
            if wire.BEHIND in message:
                start, size_bytes = (int(number) for number in message[wire.BEHIND])
                if size_bytes > self._spec["reply_bytes"]:
                    raise ValueError("a reply that long has no reason")
                message = orjson.loads(seat.output.take_behind(start, size_bytes))
            sizes = message.get("output_bytes", 0), message.get("dead_bytes", 0)
            ends = wire.HEADER_BYTES + sizes[0], wire.HEADER_BYTES + sum(sizes)
            valid = all(type(size) is int and size >= 0 for size in sizes) and ends[1] <= seat.output.size_bytes
        except (ValueError, AttributeError, TypeError):
            valid = False
        if not valid:
            return self._kill(seat, "reply_forged", "its reply made no sense")
        if "bug" in message:
            return self._kill(seat, "no_result", f"the process failed: {message['bug']!s:.100}")
        output = seat.output.take(wire.HEADER_BYTES, ends[0])
        return Reply(message, output, seat.output.take(ends[0], ends[1]) if sizes[1] else b"")

    def _death(self, seat: Seat) -> Death:
        """Return how a child ended that has closed its channel."""
        if not self.await_end(seat, timeout_s=limits.CHILD_EXIT.value):
            killed = self._kill(seat, "no_result", "the process closed its channel and gave no result")
            if seat.end is None or seat.end["status"] == signal.SIGKILL:
                return killed
        if (end := seat.end) is None:  # nobody is left to tell how, and it was not by itself
            raise SandboxUnavailable(f"the zygote of {self._spec['name']} has ended", hint="Run: penstock doctor")
        if seat.unheard and end["status"] == signal.SIGKILL and end["cpu_s"] < self._spec["cpu_s"]:
            raise self._ended_parked()  # its limits end it in other ways, and so does its script
        code, detail = _cause(end["status"], end["cpu_s"], self._spec["cpu_s"])
        return Death(code, detail, seat.output.mark(), end["cpu_s"])

    def _kill(self, seat: Seat, code: str, detail: str) -> Death:
        assert seat.pid is not None, "only a child that has said its number is asked"
        kill_child(seat.pid, parent=self._zygote.pid)
        self.await_end(seat, timeout_s=limits.ZYGOTE_START.value)
        return Death(code, detail, seat.output.mark(), (seat.end or {"cpu_s": 0.0})["cpu_s"])


class Claim:
    """One user's part in children that others use too: what it stops is only its own."""

    def __init__(self, children: Children, meter: Meter) -> None:
        self._children = children
        self._meter = meter
        self._seats: set[Seat] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._done = 0

    def run(self, request: dict[str, Any], data: bytes = b"", *, records: int = 0) -> Reply | Death:
        """Give one request about so many records to a child and wait for its reply or its end.

        Raises:
            SandboxUnavailable: when it was stopped meanwhile, or no child is left.
        """
        seat = self._children.take(meter=self._meter)
        try:
            with self._lock:
                self._require_going()
                seat.records = records
                self._seats.add(seat)
            reply = self._children.ask(seat, request, data)
            self._done += records if isinstance(reply, Reply) else 0
        finally:
            with self._lock:
                self._seats.discard(seat)
            self._children.measure(seat)
            self._children.give_back(seat)
        self._require_going()
        return reply

    def records_done(self) -> int:
        """Return how many records are done, of requests at hand as far as their children say: it may be a lie."""
        with self._lock:
            return self._done + sum(min(seat.output.mark().record, seat.records) for seat in self._seats)

    def stop(self) -> None:
        """End what runs for this user, and let nothing more begin."""
        with self._lock:
            self._stopped = True
            for seat in self._seats:
                self._children.end(seat)

    def _require_going(self) -> None:
        if self._stopped:
            raise SandboxUnavailable("the work was stopped", hint="Run it again.")


def _cause(status: int, cpu_s: float, cpu_limit_s: int) -> tuple[str, str]:
    number = status & 0x7F
    if number == 0:
        return "no_result", f"the process ended with status {status >> 8} and gave no result"
    name = next((each.name for each in signal.Signals if each == number), f"signal {number}")
    if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_s >= cpu_limit_s):
        return "limit_cpu", name
    if number == signal.SIGSYS:
        return "forbidden_call", "the kernel stopped a system call that scripts may not make"
    if number == signal.SIGBUS:
        return "crashed", "the process crashed with SIGBUS; a file that is cut short while it is read does that"
    if number == signal.SIGKILL:
        return "crashed", "the kernel killed the process, most likely for memory"
    return "crashed", f"the process crashed with {name}"


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
