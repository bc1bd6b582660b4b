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

from penstock_guest import child, lock, profiles, programs, wire


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
        """Return the next message and its descriptors; the process ends when the service is gone."""
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


_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(4 * 4)


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
        self._control.send({"ready": level._asdict() | {"pid": os.getpid()}})
        while True:
            _, fds = self._control.receive()
            pid = os.fork()
            if pid == 0:
                VersionZygote(self._control, fds[0], before, inner).serve()
            os.close(fds[0])
            self._control.send({"pid": pid})


class VersionZygote:
    """Compiles one script version and keeps children of it parked, as many as the service asks for."""

    def __init__(self, control: Control, fd: int, before: lock.Footprint, inner: lock.Filter) -> None:
        lock.die_with_parent()
        control.become(fd)
        self._control = control
        self._before = before
        self._inner = inner
        self._children: dict[int, int] = {}  # process id -> the service's number for the child
        self._ended: dict[int, dict[str, Any]] = {}  # ended before its number was noted

    def serve(self) -> NoReturn:
        """Prepare the program, answer whether it can run, then park a child for each request."""
        spec, fds = self._control.receive()
        arenas_bytes = spec["input_bytes"] + spec["output_bytes"] + wire.HEADER_BYTES
        lock.limit_memory(self._before, memory_bytes=spec["memory_bytes"], mapped_bytes=arenas_bytes)
        program = programs.prepare(spec, _read_all(fds[0]))
        if program.problems:
            self._control.send({"problems": program.problems})
            os._exit(0)
        nest = child.Nest(program, spec, self._inner)
        gc.freeze()
        gc.set_threshold(*child.GC_THRESHOLD)
        signal.signal(signal.SIGCHLD, self._reap)
        self._control.send({"ready": {"entry_point": getattr(program, "entry_point", "")}})
        while True:
            self._park(nest, *self._control.receive())

    def _park(self, nest: child.Nest, request: dict[str, Any], fds: list[int]) -> None:
        channel, input_fd, output_fd = fds
        nest.input.show(input_fd)
        nest.output.show(output_fd)
        pid = os.fork()
        if pid == 0:
            nest.serve(request, channel)
        for fd in fds:
            os.close(fd)
        self._children[pid] = request["park"]
        if pid in self._ended:
            self._report(pid, self._ended.pop(pid))

    def _reap(self, _signal: int, _frame: object) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            end = {"status": status, "cpu_s": usage.ru_utime + usage.ru_stime, "memory_kib": usage.ru_maxrss}
            if pid in self._children:
                self._report(pid, end)
            else:
                self._ended[pid] = end

    def _report(self, pid: int, end: dict[str, Any]) -> None:
        self._control.send(end | {"exit": self._children.pop(pid)})


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 2**20):
        parts.append(part)
    os.close(fd)
    return b"".join(parts)
