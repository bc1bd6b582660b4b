"""Zygotes: a profile's base zygote, the version zygotes it forks, and the parked children those fork ahead of need.

    service --exec--> base zygote --fork--> version zygote --fork--> parked child
                      imports, locks        compiles one            maps its arenas, adds the inner lock,
                      itself for good       script version          and waits: used once, then gone

A fork is cheap and a fresh interpreter is not; a lock is cheap where it is inherited. So what is slow (imports,
Landlock, the long filter, compiling) happens once, upstream, and a run pays for one fork and a short filter, ahead of
need. The script's own top level is tenant code: it runs in the child and never in a zygote.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from typing import Any, Final, NoReturn

import orjson

from penstock_guest import calls, child, lock, profiles, programs, wire

_PROBLEMS_MAX: Final = 50  # so that they fit into one message
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(4 * 4)
_SEATS_MAX: Final = 1024


class Control:
    """A zygote's end of its control channel, always descriptor 0."""

    def __init__(self, fd: int) -> None:
        self.become(fd)
        # One socket object for the process and its forks: making another asks for the socket's name, which the lock
        # refuses.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=0)

    def become(self, fd: int) -> None:
        """Make fd the control channel, and close every other descriptor."""
        os.dup2(fd, 0, inheritable=False)
        os.closerange(1, child.DESCRIPTORS_MAX)

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Return the next message and its descriptors; the process ends when the service does."""
        data, ancillary, _, _ = self._socket.recvmsg(wire.MESSAGE_BYTES_MAX, _ANCILLARY_BYTES)
        if not data:
            os._exit(0)
        fds = memoryview(ancillary[0][2]).cast("i").tolist() if ancillary else []
        return orjson.loads(data), fds

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; the process ends when the service is gone."""
        try:
            os.write(0, orjson.dumps(message))
        except OSError:
            os._exit(0)


class BaseZygote:
    """Imports what its profile allows, locks itself, and forks one version zygote for each request."""

    def __init__(self, control_fd: int) -> None:
        self._control = Control(control_fd)
        sys.stdin = sys.stdout = sys.stderr = None

    def serve(self, profile: str) -> NoReturn:
        """Tell the service what the lock reached, then fork version zygotes until it goes."""
        try:
            profiles.load(profile)
            before = lock.footprint()
            inner = lock.inner_filter()
            level = lock.lock_process()
        except Exception as error:  # noqa: BLE001  # a door: the service reports it, and runs no script
            self._control.send({"error": f"{type(error).__name__}: {error}"})
            os._exit(1)
        sys.path.clear()
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        own = os.getpid()
        self._control.send({"ready": level._asdict() | {"pid": own}})
        while True:
            _, fds = self._control.receive()
            pid = os.fork()
            if pid == 0:
                self._become_version(fds, before, inner, parent=own)
            for fd in fds:
                os.close(fd)
            self._control.send({"pid": pid})

    def _become_version(self, fds: list[int], before: lock.Footprint, inner: lock.Filter, *, parent: int) -> NoReturn:
        try:
            lock.die_with(parent)
            VersionZygote(self._control, fds, before, inner).serve()
        except BaseException as error:  # noqa: BLE001  # the door of this process
            self._control.send({"bug": child.bug_words(error)})
        finally:
            os._exit(1)


class VersionZygote:
    """Compiles one script version and keeps children of it parked, as many as the service asks for."""

    def __init__(self, control: Control, fds: list[int], before: lock.Footprint, inner: lock.Filter) -> None:
        control.become(*fds)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # so that children can be waited for
        self._control = control
        self._before = before
        self._inner = inner

    def serve(self) -> NoReturn:
        """Prepare the program, answer whether it can run, then park and reap children as the service asks."""
        spec, fds = self._control.receive()
        arenas_bytes = spec["input_bytes"] + spec["output_bytes"] + wire.HEADER_BYTES
        lock.limit_memory(self._before, memory_bytes=spec["memory_bytes"], mapped_bytes=arenas_bytes)
        program = programs.prepare(spec, _read_all(fds[0]))
        if program.problems:
            self._control.send({"problems": program.problems[:_PROBLEMS_MAX]})
            os._exit(0)
        program.rehearse()
        lock.rehearse()
        nest = child.Nest(program, spec, self._inner)
        turns = Turns()
        gc.freeze()
        gc.set_threshold(*child.GC_THRESHOLD)
        self._control.send({"ready": {"entry_point": getattr(program, "entry_point", "")}})
        turns.take(nest)


class Turns:
    """A version zygote's work from there on: to fork a child into a seat, and to wait for the one that goes.

    It waits only for a child of which the service knows that it is going, or that it has killed or will kill.
    """

    def __init__(self) -> None:
        self._inbox = calls.Inbox(words=4, fds=3)
        self._pids = calls.Buffer(4 * _SEATS_MAX).view.cast("i")
        self._end = calls.Buffer(wire.END_BYTES)
        self._closing = lock.closing_calls()

    def take(self, nest: child.Nest) -> NoReturn:
        """Do what the service asks for until it goes."""
        # Local names all of them: to look one up elsewhere is to write to its page, which a fork has made a shared one.
        receive, words, fds, pids = self._inbox.receive, self._inbox.words, self._inbox.fds, self._pids
        show_input, show_output, serve = nest.input.show, nest.output.show, nest.serve
        fork, wait, write, go_through, closing = calls.fork, calls.wait4, calls.write, lock.go_through, self._closing
        end, status, usage = self._end.view.cast("q"), self._end.at(8), self._end.at(16)
        message, size_bytes = self._end.memory, wire.END_BYTES
        while receive():
            seat, leaving = words[0], words[1]
            if seat >= 0:
                show_input(fds[1])
                show_output(fds[2])
                pids[seat] = pid = fork()
                if pid == 0:
                    serve(fds[0], words[2], words[3])
                if pid < 0:
                    raise OSError(f"cannot fork: {calls.failure()}")
                if closing:
                    go_through(closing)
                else:
                    os.closerange(1, child.DESCRIPTORS_MAX)
            if leaving >= 0:
                end[0] = leaving
                wait(pids[leaving], status, 0, usage)
                write(0, message, size_bytes)
        os._exit(0)


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 2**20):
        parts.append(part)
    os.close(fd)
    return b"".join(parts)
