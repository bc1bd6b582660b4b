"""The service's side of zygotes: starting base zygotes, and asking them for version zygotes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

from penstock.core import limits
from penstock.core.errors import Bug, SandboxUnavailable, ScriptRejected
from penstock.core.scripts import Problem
from penstock_guest import wire

BOOT: Final = Path(wire.__file__).with_name("boot.py")
NOBODY: Final = -1
_PATIENCE_S: Final = 2.0
_LIBRARIES: Final = ("orjson", "brotli", "jsonschema_rs", "zstandard", "numpy", "pyarrow", "quickjs", "duckdb")


class BaseZygote:
    """One base zygote: an interpreter that has imported a profile, locked itself, and forks version zygotes.

    Args:
        profile: what it imports.
        boot: the program it runs; the escape suite passes one that leaves locks out.
    """

    def __init__(self, profile: str, *, boot: Path = BOOT) -> None:
        self.profile = profile
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  # closed in close(), not here
        with theirs:
            self._process = subprocess.Popen(
                [
                    os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
                    "-s",
                    "-P",
                    "-S",
                    str(boot),
                    str(theirs.fileno()),
                ],
                env=dict(wire.ENVIRONMENT),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in a terminal is for the service alone
            )
        self._socket.settimeout(limits.ZYGOTE_START.value)
        self._socket.send(orjson.dumps({"profile": profile, "paths": library_paths()}))
        self._ready: dict[str, Any] | None = None
        self._asking = threading.Lock()  # one question at a time: answers do not say whom they are for

    def ready(self) -> dict[str, Any]:
        """Wait until it is locked, and return what its lock reached.

        Raises:
            SandboxUnavailable: when it did not start.
        """
        with self._asking:
            if self._ready is None:
                self._ready = self._receive().get("ready")
        if self._ready is None:
            raise self._not_started("it could not lock itself")
        return self._ready

    @property
    def alive(self) -> bool:
        """Whether the process is still there. It is not waited for: until `close`, its number stays its own."""
        if self._process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def fork_version(self, spec: dict[str, Any], source: bytes) -> VersionZygote:
        """Return a version zygote that has prepared the program.

        Raises:
            ScriptRejected: when the program says that it cannot run.
            SandboxUnavailable: when this process is gone.
        """
        try:
            return self._fork_version(spec, source)
        except (OSError, ScriptRejected) as error:
            if isinstance(error, OSError) or not self.alive:  # what dies with its parent was not ended by a compiler
                raise self._not_started("it has ended") from error
            raise

    def _fork_version(self, spec: dict[str, Any], source: bytes) -> VersionZygote:
        self.ready()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._asking:
            socket.send_fds(self._socket, [b"{}"], [theirs.fileno()])
            pid = self._receive()["pid"]
        return VersionZygote(ours, pid, spec, source)

    def close(self) -> None:
        """End it, and with it every process below it."""
        self._socket.close()
        if self._process.returncode is None:
            self._end()
        self._words.close()

    def _end(self) -> None:
        pidfd = os.pidfd_open(self._process.pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(_PATIENCE_S * 1000):
            self._process.kill()
        os.close(pidfd)
        _end_session(self._process.pid)
        self._process.wait()

    def _receive(self) -> dict[str, Any]:
        try:
            message = self._socket.recv(wire.MESSAGE_BYTES_MAX)
        except (TimeoutError, ConnectionResetError):
            message = b""
        if not message:
            raise self._not_started("it ended without a word")
        answer: dict[str, Any] = orjson.loads(message)
        if "error" in answer:
            raise self._not_started(answer["error"])
        return answer

    def _not_started(self, reason: str) -> SandboxUnavailable:
        self._words.seek(0)
        words = self._words.read(4096).decode("utf-8", "replace").strip().splitlines()
        last = f" ({words[-1]})" if words else ""
        return SandboxUnavailable(
            f"the base zygote of profile {self.profile} did not start: {reason}{last}", hint="Run: penstock doctor"
        )


class VersionZygote:
    """One program, prepared, whose children are parked on request."""

    def __init__(self, channel: socket.socket, pid: int, spec: dict[str, Any], source: bytes) -> None:
        self.pid = pid
        self.channel = channel
        channel.settimeout(limits.COMPILE.value)
        with _memory_file(source) as fd:
            socket.send_fds(channel, [orjson.dumps(spec)], [fd])
        self.entry_point: str = self._await_ready(spec["name"])["entry_point"]
        channel.settimeout(None)

    def turn(
        self,
        *,
        park: int = NOBODY,
        fds: Sequence[int] = (),
        ahead: tuple[int, int] = (0, 0),
        leaving: int = NOBODY,
    ) -> None:
        """Ask for a new child, for word of the end of another, or for both.

        Args:
            park: the seat of the new child.
            fds: its channel, input and output.
            ahead: how many bytes of input and output to map before it is needed.
            leaving: the seat of a child that has been told to go, or is known to be dead.
        """
        socket.send_fds(self.channel, [wire.TURN.pack(park, leaving, *ahead)], fds)

    def next_end(self) -> tuple[int, dict[str, Any]] | None:
        """Wait for word of the end of a child, and return its seat; None when the zygote is gone or makes no sense."""
        try:
            seat, status, *times = wire.END.unpack_from(self.channel.recv(wire.END_BYTES))
        except (OSError, struct.error):
            return None
        cpu_s = times[0] + times[2] + (times[1] + times[3]) / 1e6
        return seat, {"status": status, "cpu_s": cpu_s}

    def close(self) -> None:
        """End it and its children."""
        kill_if_alive(self.pid, self.channel)
        self.channel.close()

    def _await_ready(self, name: str) -> dict[str, Any]:
        try:
            message = self.channel.recv(wire.MESSAGE_BYTES_MAX)
        except (TimeoutError, ConnectionResetError):
            message = b""
        answer = orjson.loads(message) if message else {}
        if "ready" in answer:
            return dict(answer["ready"])
        kill_if_alive(self.pid, self.channel)
        self.channel.close()
        if "bug" in answer:
            raise Bug(f"{name}: the version zygote failed: {answer['bug']}", hint="Report this line.")
        problems = answer.get("problems") or [_did_not_compile(name)]
        first = problems[0]
        where = f"{name}:{first['script_line']}" if first.get("script_line") else name
        raise ScriptRejected(f"{where}: {first['message']}", hint=str(first["hint"]), problems=problems)


def _end_session(session: int) -> None:
    """Kill what is left of a base zygote's session, which none of its processes can leave.

    Children die with their zygote; what a zygote that was taken over has forked besides does not. The session's number
    is nobody else's, because its first process has not been waited for.
    """
    deadline_s = time.monotonic() + _PATIENCE_S
    while sum(_kill_in(session, pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))):
        if time.monotonic() > deadline_s:  # they fork faster than they are killed
            return


def _kill_in(session: int, pid: int) -> bool:
    """Kill a process if it lives in the session; return whether it did."""
    with contextlib.suppress(OSError):  # it has just ended
        if os.getsid(pid) != session:
            return False
        pidfd = os.pidfd_open(pid)
        try:
            alive = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if alive and os.getsid(pid) == session:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                return True
        finally:
            os.close(pidfd)
    return False


def kill_if_alive(pid: int, channel: socket.socket) -> None:
    """Kill the process that holds the other end of a channel.

    The number alone could meanwhile belong to somebody else. But as long as the other end is open its holder lives,
    so a pidfd taken before looking refers to the holder.
    """
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            poller = select.poll()
            poller.register(channel, 0)
            if not any(event & select.POLLHUP for _, event in poller.poll(0)):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def kill_child(pid: int, *, parent: int) -> None:
    """Kill a zygote's child, whatever it has done to its channel.

    As long as it has this parent nobody has reaped it, so a pidfd taken before looking refers to it.
    """
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        pidfd = os.pidfd_open(pid)
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def _did_not_compile(name: str) -> Problem:
    return Problem(
        {
            "code": "script_syntax",
            "message": f"{name} crashed the compiler, or took it over {limits.COMPILE.value} {limits.COMPILE.unit}",
            "script_line": None,
            "column": None,
            "hint": "Make the script smaller and less deeply nested.",
        }
    )


def library_paths() -> list[str]:
    """Return the folders that hold the libraries of the profiles; a zygote runs without site-packages of its own."""
    found = [spec for name in _LIBRARIES if (spec := find_spec(name)) is not None and spec.origin]
    # A package lies in a folder of its own, a module beside others.
    return sorted({str(Path(str(spec.origin)).parents[1 if spec.submodule_search_locations else 0]) for spec in found})


@contextlib.contextmanager
def _memory_file(source: bytes) -> Iterator[int]:
    fd = os.memfd_create("source", os.MFD_CLOEXEC)
    try:
        os.write(fd, source)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
