"""The `heavy` sandbox class: an engine with threads and files, executed anew for each attempt, locked, and watched.

The strict class's children have no files and no threads, which no engine can do without. So a heavy child is a process
of its own for one attempt: its interpreter is executed with a literal environment, loads one engine, and locks itself
before it does anything: Landlock leaves it the libraries, its pinned inputs and its staging folder; seccomp leaves it
threads and files, and neither network nor programs nor processes. What it may use besides is watched from here: time,
memory, threads, and the bytes of its staging folder, in which it removes and renames nothing so that all of it can be
counted. Where the kernel has no Landlock, engines are refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import orjson

from penstock.base import disks
from penstock.core import limits
from penstock.core.engines import EngineAnswer, EngineFailure, EngineLimits, EngineReport, EngineRequest, Stop
from penstock.core.errors import SandboxUnavailable, SandboxUnsafe
from penstock.core.ports.engines import StopSign
from penstock.core.scripts import Act
from penstock.sandbox.zygotes import library_paths
from penstock_guest import wire
from penstock_guest.heavy.probe import ACTS
from penstock_guest.heavy.programs import SPILL

BOOT: Final = Path(wire.__file__).parent / "heavy" / "boot.py"
_LOOK_S: Final = limits.ENGINE_LOOK.value / 1000
_LOOKING_SHARE: Final = 0.2  # of the time may go into counting a folder of many files
_FILE_BYTES_MIN: Final = 4096  # what an empty file takes of a disk, in its folder and as an inode
_PAGE_BYTES: Final = resource.getpagesize()
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WORDS_CHARACTERS: Final = 200
_MESSAGE_CHARACTERS: Final = 2_000
_CONTAINERS_MAX: Final = 500_000  # each takes 60 bytes of the service's memory and more, and two of the answer
_OWN_CODES: Final = ("sql_failed", "limit_memory", "limit_disk", "disk_full", "bug")  # that an engine says itself
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

    _reports: dict[Path, EngineReport] = {}  # noqa: RUF012  # once a process: the machine does not change
    _testing = threading.Lock()

    def __init__(self, *, boot: Path = BOOT) -> None:
        self._boot = boot

    def report(self) -> EngineReport:
        """Return what became of every forbidden act that the self-test tries, in a real locked child.

        Raises:
            SandboxUnavailable: when the self-test did not run; it may later.
        """
        with self._testing:
            if self._boot not in self._reports:
                self._reports[self._boot] = _self_test(self)
            return self._reports[self._boot]

    def run(self, request: EngineRequest, *, stop: StopSign | None = None) -> EngineAnswer | EngineFailure:
        """Return what an engine answered, or how it ended without an answer.

        Raises:
            SandboxUnsafe: when engines cannot be locked here, or a forbidden act works.
            SandboxUnavailable: when one could not be started now.
        """
        self._require_safe(request)
        with _Child(self._boot, request) as child:
            return child.attend(stop or Stop())

    @contextlib.contextmanager
    def converse(self, request: EngineRequest, *, stop: StopSign | None = None) -> Iterator[Talk]:
        """Start an engine that is asked more than once; `ask` of the request is what is common to the questions.

        Raises:
            SandboxUnsafe: when engines cannot be locked here, or a forbidden act works.
            SandboxUnavailable: when one could not be started now.
        """
        self._require_safe(request)
        with _Child(self._boot, request) as child:
            child.begin()
            try:
                yield Talk(child, stop or Stop())
            finally:
                child.leave()

    def clear(self, folder: Path) -> None:
        """Remove a folder that an engine has written, however deep its folders are."""
        clear(folder)

    def _require_safe(self, request: EngineRequest) -> None:
        if request.profile != "probe" and not (report := self.report()).safe:
            worked = ", ".join(act.name for act in report.acts if not act.stopped)
            raise SandboxUnsafe(
                f"engines cannot run safely on this machine: {report.refused or f'one could {worked}'}",
                hint="Run: penstock doctor. There is no way to run them without the sandbox.",
            )


class Talk:
    """An engine that answers one question after the other, within the bounds of one attempt."""

    def __init__(self, child: _Child, stop: StopSign) -> None:
        self._child, self._stop = child, stop
        self._asked = 0
        self._failure: EngineFailure | None = None

    def ask(self, question: Mapping[str, Any], /) -> EngineAnswer | EngineFailure:
        """Return its answer, or why there is none; an engine that was ended answers all others so."""
        if self._failure is None and not self._asked:
            opened = self._child.open(self._stop)
            self._failure = opened if isinstance(opened, EngineFailure) else None
        if self._failure is not None:
            return self._failure
        self._asked += 1
        assert self._asked <= limits.ENGINE_QUESTIONS.value, "questions have a bound"
        answer = self._child.ask(question, self._stop)
        if isinstance(answer, EngineFailure) and self._child.ended:
            self._failure = answer
        return answer


class _Child:
    """One process for one attempt."""

    def __init__(self, boot: Path, request: EngineRequest) -> None:
        self._request = request
        self._abi = 0
        self._channel, theirs = socket.socketpair()
        # A pipe holds little, and neither side waits for the other: nothing is written to a disk that nobody counts.
        self._words, words = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._started_s = self._look_s = time.monotonic()
        self._kept_words = ""
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [_interpreter(), "-s", "-P", "-S", str(boot), str(theirs.fileno())],
                    env=dict(wire.ENVIRONMENT),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=words,
                    pass_fds=[theirs.fileno(), *([] if request.link is None else [request.link])],
                    start_new_session=True,
                )
        except OSError as error:
            self._channel.close()
            os.close(self._words)
            raise SandboxUnavailable(f"an engine did not start: {error}", hint="Run: penstock doctor") from error
        finally:
            os.close(words)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._end()
        os.close(self._words)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.returncode is not None

    def attend(self, stop: StopSign) -> EngineAnswer | EngineFailure:
        """Ask, watch the process until it has answered or ended, and leave nothing that it has spilled."""
        try:
            self._send(_message(self._request))
            said = self._listen(stop, lines=None)
            if isinstance(said, EngineFailure):
                return said
            usage = self._wait()
            if (passed := self._passed_disk()) is not None:  # what came after the last look
                return self._failure(*passed, usage=usage)
            return self._judge(said, usage)
        finally:
            self.leave()

    def begin(self) -> None:
        """Begin a conversation, and wait for nothing."""
        self._send(_message(self._request) | {"converse": True})

    def open(self, stop: StopSign) -> EngineAnswer | EngineFailure:
        """Wait for a conversation that has begun; its time counts from here."""
        self._started_s = time.monotonic()
        said = self._listen(stop, lines=2)
        return said if isinstance(said, EngineFailure) else self._judge(said, self._usage_now())

    def ask(self, question: Mapping[str, Any], stop: StopSign) -> EngineAnswer | EngineFailure:
        """Ask the next question of a conversation, and watch the process until it has answered or ended."""
        self._send(dict(question))
        said = self._listen(stop, lines=1)
        if isinstance(said, EngineFailure):
            return said
        if (passed := self._passed_disk()) is not None:
            return self._failure(*passed, usage=self._end())
        return self._read(said, self._usage_now())

    def leave(self) -> None:
        """End the process, and leave nothing that it has spilled."""
        self._end()
        clear(Path(self._request.writes, SPILL))

    def _send(self, message: dict[str, Any]) -> None:
        written = orjson.dumps(message)
        self._channel.settimeout(limits.ZYGOTE_START.value)
        with contextlib.suppress(OSError):  # it ended, or hangs: what it says or does not say tells more
            self._channel.sendall(len(written).to_bytes(8, "big") + written)

    def _listen(self, stop: StopSign, *, lines: int | None) -> bytes | EngineFailure:
        """Return what the process says, up to its end or so many lines; a failure when it has passed a bound."""
        said, found = bytearray(), 0
        while (part := self._hear()) != b"":
            said += part or b""
            found += (part or b"").count(b"\n")
            if (passed := self._passed(len(said), stop)) is not None:
                return self._failure(*passed, usage=self._end())
            if lines is not None and found >= lines:
                return bytes(said)
        if lines is not None:
            self._wait()
        return bytes(said)

    def _hear(self) -> bytes | None:
        """Return what has come; None when nothing has for a moment, no bytes when nothing more will."""
        if not select.select([self._channel], [], [], _LOOK_S)[0]:
            return None
        try:
            return self._channel.recv(2**18)
        except ConnectionResetError:
            return b""

    def _passed(self, answer_bytes: int, stop: StopSign) -> tuple[str, str] | None:
        """Return which bound the process has passed, if it has."""
        if stop.asked:
            return "cancelled", "it was stopped"
        if answer_bytes > _ANSWER_BYTES_MAX:
            return "limit_output", f"its answer has more than {limits.ENGINE_ANSWER.value} MiB"
        began_s = time.monotonic()
        if began_s - self._started_s > self._request.limits.wall_s:
            return "limit_wall", f"it took longer than {self._request.limits.wall_s:g} s"
        if began_s < self._look_s:
            return None
        passed = self._passed_memory() or self._passed_disk()
        ended_s = time.monotonic()
        self._look_s = ended_s + max(_LOOK_S, (ended_s - began_s) / _LOOKING_SHARE)
        return passed

    def _passed_memory(self) -> tuple[str, str] | None:
        bounds = self._request.limits
        try:
            folder = Path("/proc", str(self._process.pid))
            resident, shared = (folder / "statm").read_text().split()[1:3]
            threads = int((folder / "stat").read_text().rpartition(")")[2].split()[17])
        except (OSError, ValueError):
            return None  # it has just ended
        if (int(resident) - int(shared)) * _PAGE_BYTES > bounds.memory_bytes:
            return "limit_memory", f"it took more than {bounds.memory_bytes // 2**20:,} MiB of memory"
        if threads > limits.ENGINE_THREADS.value:
            return "crashed", f"it started more than {limits.ENGINE_THREADS.value} threads"
        return None

    def _passed_disk(self) -> tuple[str, str] | None:
        bound = self._request.limits.disk_bytes
        if (total := _folder_bytes(self._request.writes)) is None:
            return "limit_disk", (
                f"it made more than {limits.ENGINE_FILES.value:,} files, or folders more than "
                f"{limits.ENGINE_DEPTH.value} deep"
            )
        return ("limit_disk", f"it wrote more than {bound // 2**20:,} MiB") if total > bound else None

    def _end(self) -> resource.struct_rusage:
        if self._process.returncode is None:
            self._kill()
            self._wait()
        return self._usage

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # Popen's own kill may reap it, and its usage would be lost
            os.kill(self._process.pid, signal.SIGKILL)

    def _wait(self) -> resource.struct_rusage:
        deadline_s = time.monotonic() + limits.CHILD_EXIT.value
        while True:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._usage = usage
                return usage
            if time.monotonic() > deadline_s:
                self._kill()
            time.sleep(0.001)

    def _usage_now(self) -> resource.struct_rusage:
        """Return what a process that goes on has used so far."""
        try:
            found = Path("/proc", str(self._process.pid), "stat").read_text().rpartition(")")[2].split()
            user, system, pages = (int(found[at]) for at in (11, 12, 21))
        except (OSError, ValueError):
            return self._end()
        return resource.struct_rusage((user / _TICKS, system / _TICKS, pages * _PAGE_BYTES // 1024, *[0] * 13))

    def _judge(self, said: bytes, usage: resource.struct_rusage) -> EngineAnswer | EngineFailure:
        """Return what became of the attempt; the first line was said before there was anything of a tenant's."""
        first, _, rest = said.partition(b"\n")
        try:
            level = orjson.loads(first)
        except ValueError:
            raise SandboxUnavailable(
                f"an engine did not start ({self._exit_name()}): {self._last_words()[-_WORDS_CHARACTERS:]}",
                hint="Run: penstock doctor",
            ) from None
        if "unlocked" in level:
            raise SandboxUnsafe(
                f"an engine could not be locked: {level['unlocked']}",
                hint="Engines need Landlock (Linux 5.13 or newer). Run: penstock doctor",
            )
        self._abi = level["landlock_abi"]
        return self._read(rest, usage)

    def _read(self, said: bytes, usage: resource.struct_rusage) -> EngineAnswer | EngineFailure:
        try:
            if said.count(b"[") + said.count(b"{") > _CONTAINERS_MAX:
                return self._failure("limit_output", "its answer has too many parts", usage=usage)
            return self._read_answer(orjson.loads(said), usage)
        except (ValueError, TypeError, LookupError, AttributeError):
            return self._died(self._end())

    def _read_answer(self, said: Any, usage: resource.struct_rusage) -> EngineAnswer | EngineFailure:
        if (broken := said.get("broken")) is None:
            return EngineAnswer(dict(said["answer"].items()), self._abi, _cpu_s(usage), usage.ru_maxrss * 1024)
        code, line = broken["code"], broken.get("line")
        words = "".join(letter if letter.isprintable() else " " for letter in str(broken["message"]))
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._failure(
            code if code in _OWN_CODES else "crashed",
            disks.said(full, self._request.writes) if code == "disk_full" else words[:_MESSAGE_CHARACTERS],
            usage=usage,
            line=line if isinstance(line, int) else None,
            killed=False,
        )

    def _died(self, usage: resource.struct_rusage) -> EngineFailure:
        number = -(self._process.returncode or 0)
        if number == signal.SIGKILL and _cpu_s(usage) >= self._request.limits.cpu_s:
            number = signal.SIGXCPU
        known = _SIGNALS.get(signal.Signals(number)) if number > 0 else None
        if known is None and any(word in self._last_words() for word in ("MemoryError", "bad_alloc")):
            known = "limit_memory", "it needs more memory than it may"
        return self._failure(*(known or ("crashed", f"it ended without an answer ({self._exit_name()})")), usage=usage)

    def _exit_name(self) -> str:
        code = self._process.returncode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

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

    def _last_words(self) -> str:
        """Return what it wrote to standard error; taken once, so kept."""
        with contextlib.suppress(BlockingIOError):
            self._kept_words += os.read(self._words, 65_536).decode("utf-8", "replace")
        return self._kept_words


def clear(folder: Path) -> None:
    """Remove a folder that an engine has written, however deep its folders are; nothing if it is not there."""
    number = 0
    while folder.is_dir():
        for entry in list(os.scandir(folder)):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            for below in list(os.scandir(entry.path)):  # up, so that no path gets too long
                if below.is_dir(follow_symlinks=False):
                    number += 1
                    os.rename(below.path, folder / f"..{number}")
                else:
                    os.unlink(below.path)
            os.rmdir(entry.path)
        with contextlib.suppress(OSError):  # folders that came up are still in it
            folder.rmdir()


def _self_test(sandbox: HeavySandbox) -> EngineReport:
    with tempfile.TemporaryDirectory(prefix="penstock-heavy-") as folder:
        secret, given, staging = Path(folder, "secret"), Path(folder, "given"), Path(folder, "staging")
        secret.write_bytes(b"secret")
        given.write_bytes(b"given")
        staging.mkdir()
        ask = {"secret": str(secret), "input": str(given), "memory_bytes": 4 * _PROBE_MEMORY_BYTES}
        bounds = EngineLimits(wall_s=limits.ZYGOTE_START.value, memory_bytes=_PROBE_MEMORY_BYTES)
        try:
            end = sandbox.run(EngineRequest("probe", ask, [str(given)], str(staging), bounds))
        except SandboxUnsafe as unsafe:
            return EngineReport((), str(unsafe))
    if isinstance(end, EngineFailure):
        raise SandboxUnavailable(f"the self-test of engines did not run: {end.message}", hint="Run: penstock doctor")
    acts = end.answer["acts"]
    if end.answer["read_bytes"] != len(b"given") or not end.answer["wrote"]:
        raise SandboxUnavailable("a locked engine cannot use its own files", hint="Run: penstock doctor")
    return EngineReport(
        tuple(
            Act(words, stopped=acts[name] is not None, how=acts[name] or "it worked")
            for name, (words, _) in ACTS.items()
        )
    )


def _message(request: EngineRequest) -> dict[str, Any]:
    bounds = request.limits
    return {
        "profile": request.profile,
        "paths": library_paths(),
        "service": os.getpid(),
        "libraries": [*_SYSTEM, str(BOOT.parents[2] / "penstock_guest"), sys.base_prefix, *library_paths()],
        "reads": list(request.reads),
        "writes": request.writes,
        "link": request.link,
        "limits": {
            "memory_bytes": bounds.memory_bytes,
            "disk_bytes": bounds.disk_bytes,
            "cpu_s": bounds.cpu_s,
            "threads": bounds.threads,
            "threads_max": limits.ENGINE_THREADS.value,
        },
        "ask": dict(request.ask),
    }


def _folder_bytes(folder: str) -> int | None:
    """Return what a folder takes of the disk; None when it has too many files or too deep folders to be looked at."""
    total = files = 0
    folders = [(folder, 0)]
    while folders:
        path, depth = folders.pop()
        with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
            for entry in entries:
                files += 1
                if files > limits.ENGINE_FILES.value or depth > limits.ENGINE_DEPTH.value:
                    return None
                total += max(_FILE_BYTES_MIN, entry.stat(follow_symlinks=False).st_blocks * 512)
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))
    return total


def _interpreter() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _cpu_s(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime
