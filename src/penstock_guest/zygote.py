"""Zygotes: a profile's base zygote, the version zygotes it forks, and the parked children those fork ahead of need.

    service --exec--> base zygote --fork--> version zygote --fork--> parked child
                      imports, locks        compiles one            maps its arenas, adds the inner lock,
                      itself for good       script version          and waits: used once, then gone

A fork is cheap and a fresh interpreter is not; a lock is cheap where it is inherited. So what is slow (imports,
Landlock, the long filter, compiling) happens once, upstream, and a run pays for one fork and a short filter, ahead of
need. The script's own top level is tenant code: it runs in the child and never in a zygote.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
from typing import Any, Final, NoReturn

import orjson

from penstock_guest import child, lock, profiles, programs, wire


class Control:
    """A zygote's end of its control channel, always descriptor 0."""

    def __init__(self, fd: int) -> None:
        self.become(fd)
        # One socket object for the process and its forks: making another asks for the socket's name, which the lock
        # refuses.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=0)

    def become(self, fd: int, wake_fd: int | None = None) -> None:
        """Make fd the control channel, and close every other descriptor.

        Args:
            fd: this end of the channel.
            wake_fd: the service's end of it. A byte that a signal handler writes there is the next thing that `receive`
                sees, so that no child's end is missed between looking and waiting.
        """
        os.dup2(fd, 0, inheritable=False)  # first: what was just received may itself have the number of the wake end
        if wake_fd is not None:
            os.dup2(wake_fd, _WAKE_FD, inheritable=False)
        os.closerange(_WAKE_FD if wake_fd is None else _WAKE_FD + 1, child.DESCRIPTORS_MAX)

    def receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        """Return the next message and its descriptors, None for a signal; the process ends when the service does."""
        data, ancillary, _, _ = self._socket.recvmsg(wire.MESSAGE_BYTES_MAX, _ANCILLARY_BYTES)
        if len(data) == 1:
            return None, []
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


_WAKE_FD: Final = 1
_PROBLEMS_MAX: Final = 50  # so that they fit into one message
# libc's own fork: os.fork would also run what modules registered for a child (new locks for threading, a new seed for
# random), which a process with one thread does not need, and touch some 70 pages more in doing so.
_FORK: Final = ctypes.PyDLL(None).fork
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(4 * 4)


class BaseZygote:
    """Imports what its profile allows, locks itself, and forks one version zygote for each request."""

    def __init__(self, control_fd: int) -> None:
        self._control = Control(control_fd)
        sys.stdin = sys.stdout = sys.stderr = None

    def serve(self, profile: str) -> NoReturn:
        """Tell the service what the lock reached, then fork version zygotes until it goes."""
        try:
            _write_signals_to(_WAKE_FD)
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
        self._control.send({"ready": level._asdict() | {"pid": os.getpid()}})
        while True:
            _, fds = self._control.receive()
            pid = os.fork()
            if pid == 0:
                self._become_version(fds, before, inner)
            for fd in fds:
                os.close(fd)
            self._control.send({"pid": pid})

    def _become_version(self, fds: list[int], before: lock.Footprint, inner: lock.Filter) -> NoReturn:
        try:
            VersionZygote(self._control, fds, before, inner).serve()
        except BaseException as error:  # noqa: BLE001  # the door of this process
            self._control.send({"bug": child.bug_words(error)})
        finally:
            os._exit(1)


class VersionZygote:
    """Compiles one script version and keeps children of it parked, as many as the service asks for."""

    def __init__(self, control: Control, fds: list[int], before: lock.Footprint, inner: lock.Filter) -> None:
        lock.die_with_parent()
        control.become(*fds)
        self._control = control
        self._before = before
        self._inner = inner
        self._children: dict[int, int] = {}  # process id -> the service's number for the child

    def serve(self) -> NoReturn:
        """Prepare the program, answer whether it can run, then park a child for each request."""
        spec, fds = self._control.receive()
        assert spec is not None, "a zygote without children gets no signals"
        arenas_bytes = spec["input_bytes"] + spec["output_bytes"] + wire.HEADER_BYTES
        lock.limit_memory(self._before, memory_bytes=spec["memory_bytes"], mapped_bytes=arenas_bytes)
        program = programs.prepare(spec, _read_all(fds[0]))
        if program.problems:
            self._control.send({"problems": program.problems[:_PROBLEMS_MAX]})
            os._exit(0)
        program.rehearse()
        nest = child.Nest(program, spec, self._inner)
        gc.freeze()
        gc.set_threshold(*child.GC_THRESHOLD)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # what matters is the byte that is written before it is called
        self._control.send({"ready": {"entry_point": getattr(program, "entry_point", "")}})
        while True:
            request, fds = self._control.receive()
            if request is None:
                self._reap()
            else:
                self._park(nest, request, fds)

    def _park(self, nest: child.Nest, request: dict[str, Any], fds: list[int]) -> None:
        channel, input_fd, output_fd = fds
        nest.input.show(input_fd)
        nest.output.show(output_fd)
        pid = _FORK()
        if pid == 0:
            nest.serve(request, channel)
        for fd in fds:
            os.close(fd)
        self._children[pid] = request["park"]

    def _reap(self) -> None:
        while self._children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            cpu_s = usage.ru_utime + usage.ru_stime
            self._control.send({"exit": self._children.pop(pid), "status": status, "cpu_s": cpu_s})


def _write_signals_to(fd: int) -> None:
    """Let every signal write a byte to the descriptor that will have this number; to be called before the lock."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # Python insists, though the channel that comes here later blocks, and never fills
    os.dup2(writing, fd, inheritable=False)
    signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    os.close(reading)
    os.close(writing)


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 2**20):
        parts.append(part)
    os.close(fd)
    return b"".join(parts)
