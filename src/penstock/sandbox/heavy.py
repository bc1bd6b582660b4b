"""The `heavy` sandbox class: an engine with threads and files, executed anew for each attempt, locked, and watched.

The strict class's children have no files and no threads, which no engine can do without. So a heavy child is a process
of its own for one attempt: its interpreter is executed with a literal environment, loads one engine, and locks itself
before it does anything: Landlock leaves it the libraries, its pinned inputs and its staging folder; seccomp leaves it
threads and files, and neither network nor programs nor processes. What it may use besides is watched from here: time,
and the bytes of its staging folder. Where the kernel has no Landlock, engines are refused.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self

import orjson

from penstock.core import limits
from penstock.core.engines import EngineAnswer, EngineFailure, EngineLimits, EngineRequest
from penstock.core.errors import SandboxUnavailable, SandboxUnsafe
from penstock.core.scripts import Act
from penstock.sandbox.zygotes import library_paths
from penstock_guest import wire
from penstock_guest.heavy.probe import ACTS

BOOT: Final = Path(wire.__file__).parent / "heavy" / "boot.py"
_LOOK_S: Final = 0.05
_WORDS_CHARACTERS: Final = 200
_ANSWER_BYTES_MAX: Final = limits.ENGINE_ANSWER.value * 2**20
_PROBE_MEMORY_BYTES: Final = 512 * 2**20
# What an interpreter and an engine look for on their way up and later: libraries, time zones, how many cores and how
# much memory there is. DuckDB ends itself when it sees a file of its control group and cannot open it.
_SYSTEM: Final = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/localtime",
    "/dev/null",
    "/dev/urandom",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/proc/self/cgroup",
)
_SIGNALS: Final = {
    signal.SIGSYS: ("forbidden_call", "the kernel stopped a system call that engines may not make"),
    signal.SIGXCPU: ("limit_cpu", "the CPU time limit was reached"),
    signal.SIGXFSZ: ("limit_disk", "a file grew beyond the disk limit"),
}


class HeavySandbox:
    """Runs engines, each attempt in a locked process of its own.

    Args:
        boot: the program of its children; the escape suite passes one that leaves locks out.
    """

    def __init__(self, *, boot: Path = BOOT) -> None:
        self._boot = boot
        self._acts: tuple[Act, ...] | None = None

    def report(self) -> tuple[Act, ...]:
        """Return what became of every forbidden act that the self-test tries, in a real locked child.

        Raises:
            SandboxUnsafe: when this machine cannot lock an engine at all.
        """
        if self._acts is None:
            self._acts = _self_test(self)
        return self._acts

    def run(self, request: EngineRequest, *, stop: Stop | None = None) -> EngineAnswer | EngineFailure:
        """Return what an engine answered, or how it ended without an answer.

        Raises:
            SandboxUnsafe: when engines cannot be locked here, or a forbidden act works.
        """
        if request.profile != "probe" and (worked := [act.name for act in self.report() if not act.stopped]):
            raise SandboxUnsafe(
                f"engines cannot run safely on this machine; what one could do: {', '.join(worked)}",
                hint="Run: penstock doctor. There is no way to run them without the sandbox.",
            )
        with _Child(self._boot, request) as child:
            return child.attend(stop or Stop())


@dataclass(slots=True)
class Stop:
    """Lets somebody else end an attempt."""

    asked: bool = field(default=False)

    def ask(self) -> None:
        """End the attempt soon."""
        self.asked = True


class _Child:
    """One process for one attempt."""

    def __init__(self, boot: Path, request: EngineRequest) -> None:
        self._request = request
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        self._channel, theirs = socket.socketpair()
        self._started_s = time.monotonic()
        with theirs:
            self._process = subprocess.Popen(
                [_interpreter(), "-s", "-P", "-S", str(boot), str(theirs.fileno())],
                env=dict(wire.ENVIRONMENT),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self._words.close()

    def attend(self, stop: Stop) -> EngineAnswer | EngineFailure:
        """Ask, and watch the process until it has answered or ended."""
        message = orjson.dumps(_message(self._request))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.sendall(len(message).to_bytes(8, "big") + message)
        answer = bytearray()
        while (part := self._hear()) != b"":
            answer += part or b""
            if (ended := self._passed(len(answer), stop)) is not None:
                self._process.kill()
                return self._failure(*ended, usage=self._wait())
        usage = self._wait()
        return self._judge(bytes(answer), usage)

    def _hear(self) -> bytes | None:
        """Return what has come; None when nothing has for a moment, no bytes when nothing more will."""
        if not select.select([self._channel], [], [], _LOOK_S)[0]:
            return None
        try:
            return self._channel.recv(2**18)
        except ConnectionResetError:
            return b""

    def _passed(self, answer_bytes: int, stop: Stop) -> tuple[str, str] | None:
        """Return which bound the process has passed, if it has."""
        bounds = self._request.limits
        if stop.asked:
            return "cancelled", "it was stopped"
        if time.monotonic() - self._started_s > bounds.wall_s:
            return "limit_wall", f"it took longer than {bounds.wall_s:g} s"
        if answer_bytes > _ANSWER_BYTES_MAX:
            return "limit_output", f"its answer has more than {limits.ENGINE_ANSWER.value} MiB"
        if _folder_bytes(self._request.writes) > bounds.disk_bytes:
            return "limit_disk", f"it wrote more than {bounds.disk_bytes // 2**20:,} MiB"
        return None

    def _wait(self) -> resource.struct_rusage:
        deadline_s = time.monotonic() + limits.CHILD_EXIT.value
        while True:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                return usage
            if time.monotonic() > deadline_s:
                self._process.kill()
            time.sleep(0.001)

    def _judge(self, answer: bytes, usage: resource.struct_rusage) -> EngineAnswer | EngineFailure:
        try:
            said = orjson.loads(answer)
            if "unlocked" in said:
                raise SandboxUnsafe(
                    f"an engine could not be locked: {said['unlocked']}",
                    hint="Engines need Landlock (Linux 5.13 or newer). Run: penstock doctor",
                )
            if broken := said.get("broken"):
                line = broken.get("line")
                return self._failure(str(broken["code"]), str(broken["message"]), usage=usage, line=line, killed=False)
            return EngineAnswer(said["answer"], said["landlock_abi"], _cpu_s(usage), usage.ru_maxrss * 1024)
        except (ValueError, TypeError, LookupError, AttributeError):
            return self._died(usage)

    def _died(self, usage: resource.struct_rusage) -> EngineFailure:
        number = -(self._process.returncode or 0)
        if number == signal.SIGKILL and _cpu_s(usage) >= self._request.limits.cpu_s:
            number = signal.SIGXCPU
        words = _SIGNALS.get(signal.Signals(number)) if number > 0 else None
        if (words is None and b"MemoryError" in self._last_words()) or b"bad_alloc" in self._last_words():
            words = "limit_memory", "it needs more memory than it may"
        name = signal.Signals(number).name if number > 0 else f"exit code {self._process.returncode}"
        last = self._last_words().decode("utf-8", "replace").strip().splitlines()[-1:]
        said = f": {last[0][:_WORDS_CHARACTERS]}" if last and self._request.profile == "probe" else ""
        return self._failure(*(words or ("crashed", f"it ended without an answer ({name}){said}")), usage=usage)

    def _failure(
        self,
        code: str,
        message: str,
        *,
        usage: resource.struct_rusage,
        line: int | None = None,
        killed: bool = True,
    ) -> EngineFailure:
        return EngineFailure(code, message, killed=killed, cpu_s=_cpu_s(usage), line=line)

    def _last_words(self) -> bytes:
        self._words.seek(0)
        return self._words.read(65_536)


def _self_test(sandbox: HeavySandbox) -> tuple[Act, ...]:
    with tempfile.TemporaryDirectory(prefix="penstock-heavy-") as folder:
        secret, given, staging = Path(folder, "secret"), Path(folder, "given"), Path(folder, "staging")
        secret.write_bytes(b"secret")
        given.write_bytes(b"given")
        staging.mkdir()
        ask = {"secret": str(secret), "input": str(given), "memory_bytes": _PROBE_MEMORY_BYTES}
        bounds = EngineLimits(wall_s=limits.ZYGOTE_START.value, memory_bytes=_PROBE_MEMORY_BYTES)
        end = sandbox.run(EngineRequest("probe", ask, [str(given)], str(staging), bounds))
    if isinstance(end, EngineFailure):
        raise SandboxUnavailable(f"the self-test of engines did not run: {end.message}", hint="Run: penstock doctor")
    acts = end.answer["acts"]
    if end.answer["read_bytes"] != len(b"given") or not end.answer["wrote"]:
        raise SandboxUnavailable("a locked engine cannot use its own files", hint="Run: penstock doctor")
    return tuple(
        Act(words, stopped=acts[name] is not None, how=acts[name] or "it worked") for name, (words, _) in ACTS.items()
    )


def _message(request: EngineRequest) -> dict[str, Any]:
    bounds = request.limits
    return {
        "profile": request.profile,
        "paths": library_paths(),
        "libraries": [*_SYSTEM, str(BOOT.parents[2]), sys.base_prefix, *library_paths()],
        "reads": list(request.reads),
        "writes": request.writes,
        "limits": {"memory_bytes": bounds.memory_bytes, "cpu_s": bounds.cpu_s, "file_bytes": bounds.disk_bytes},
        "ask": dict(request.ask),
    }


def _folder_bytes(folder: str) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
    return total


def _interpreter() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _cpu_s(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime
