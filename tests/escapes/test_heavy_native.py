"""Attacks on engines as native code: DuckDB has a hole, and what runs in its process is the attacker's.

Most of the strict class's attacks are carried out again, in a process that has files and threads; the others are about
what only this class has: a folder to write in, inputs, threads, and a disk.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.escapes import engines as heavy
from tests.escapes import machine, without
from tests.escapes.attack import Attack
from tests.escapes.conftest import Engines
from tests.escapes.engines import EngineLaboratory, Sign, disk_of, memory_of
from tests.escapes.trial import Trial, holds, secret_told, status_over, touched

# What engines may do, or what is about zygotes, which this class has not.
_NOT_OF_ENGINES: Final = {
    "look at a file from outside": "Landlock takes no notice; SECURITY.md says so",
    "start a thread": "engines have threads",
    "take another name": "only a name",
    "make a user namespace": "a process with threads cannot",
    "leave the session": "it leads one of its own",
    "kill the zygote": "there is none",
    "kill the whole group": "there is none",
    "outlive the zygote": "there is none",
    "ask for the host's name": "an engine may know its machine",
    "ask for the host's memory": "DuckDB asks how much there is",
    "ask the channel who the service is": "its own parent, as getppid says",
    "search the stack for the environment": "searches what its interpreter does not have",
    "take descriptors": "engines open files, 1,024 at once",
    "make a file": "below, with staging folders",
}
_GROUPS: Final = ("files", "network", "processes", "abi", "information")
AGAIN: Final = [
    attack
    for group in _GROUPS
    for attack in importlib.import_module(f"tests.escapes.test_{group}").ATTACKS
    if attack.name not in _NOT_OF_ENGINES and attack.profile == "std" and attack.language == "python"
]


def locks_made(trial: Trial) -> bool:
    """The kernel keeps many locks for the lingering child."""
    rows = Path("/proc/locks").read_text().splitlines()
    return sum(f" {trial.pid} " in row for row in rows) > 100


def threads_over(bound: int) -> Sign:
    """It had more threads at once than allowed."""
    return lambda trial: trial.seen.get("threads", 0) > bound


def files_over(bound: int) -> Sign:
    """It made more files than allowed."""
    return lambda trial: sum(1 for _ in trial.scene.staging.iterdir()) > bound


def left_behind(kind: Callable[[Path], bool]) -> Sign:
    """Something lies in the staging folder that is no plain file."""
    return lambda trial: any(kind(path) for path in trial.scene.staging.iterdir())


def deep(trial: Any) -> bool:
    """Folders are there that whoever clears up cannot name."""
    path, depth = trial.scene.folder / "staging" / "attempt", 0
    while (path := path / "d").is_dir() and depth < 500:
        depth += 1
    return depth > 400


FILL: Final = """
import errno
def fill(fd, mib):
    for _ in range(mib):
        os.write(fd, bytes(2**20))
"""
OWN = [
    Attack(
        "make a file",
        needs=("drop",),
        sign=touched,
        held_by=("landlock",),
        code="""
os.close(os.open(data["drop"] + "/new", os.O_CREAT | os.O_WRONLY))
""",
    ),
    Attack(
        "write into an input",
        needs=("given",),
        sign=touched,
        held_by=("landlock",),
        code="""
os.write(os.open(data["given"], os.O_WRONLY), b"was here")
""",
    ),
    Attack(
        "empty an input that is opened for reading",
        needs=("given",),
        sign=touched,
        held_by=("seccomp",),
        code="""
os.open(data["given"], os.O_RDONLY | os.O_TRUNC)
""",
    ),
    Attack(
        "empty an input that is opened for neither",
        needs=("given",),
        sign=touched,
        held_by=("seccomp",),
        code="""
os.open(data["given"], 3 | os.O_TRUNC)
""",
    ),
    Attack(
        "empty a file that is opened for neither",
        needs=("canary",),
        sign=touched,
        held_by=("seccomp",),
        code="""
os.open(data["canary"], 3 | os.O_TRUNC)
""",
    ),
    Attack(
        "empty a library",
        needs=("given",),
        sign=touched,
        held_by=("seccomp",),
        code="""
os.truncate(data["given"], 0)
""",
    ),
    Attack(
        "move an output out of the staging folder",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "seccomp"),
        code="""
with open("output", "x") as file:
    file.write("x")
os.rename("output", data["drop"] + "/output")
""",
    ),
    Attack(
        "move an input away",
        needs=("given",),
        sign=touched,
        held_by=("landlock", "seccomp"),
        code="""
os.rename(data["given"], "mine")
""",
    ),
    Attack(
        "link an output out of the staging folder",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "seccomp"),
        code="""
with open("output", "x") as file:
    file.write("x")
os.link("output", data["drop"] + "/output")
""",
    ),
    Attack(
        "link a nameless file into a folder",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "seccomp"),
        code="""
fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
if libc.linkat(fd, b"", -100, text(data["drop"] + "/new"), 0x1000) < 0:
    os.link(f"/proc/self/fd/{fd}", data["drop"] + "/new", follow_symlinks=True)
""",
    ),
    Attack(
        "reach an input by a hard link",
        needs=("given",),
        sign=touched,
        held_by=("landlock", "seccomp"),
        code="""
os.link(data["given"], "mine")
os.write(os.open("mine", os.O_WRONLY), b"was here")
""",
    ),
    Attack(
        "leave a trap in the staging folder",
        needs=("canary", "beside"),
        sign=left_behind(Path.is_symlink),
        held_by=("landlock", "seccomp"),
        code="""
os.symlink(data["canary"], "out.parquet")
""",
    ),
    Attack(
        "leave a pipe in the staging folder",
        needs=("beside",),
        sign=left_behind(Path.is_fifo),
        held_by=("landlock", "seccomp"),
        code="""
os.mkfifo("out.parquet")
""",
    ),
    Attack(
        "fill the disk with one file",
        needs=("beside",),
        sign=disk_of(100),
        held_by=("rlimits",),
        code=FILL
        + """
fill(os.open("a", os.O_CREAT | os.O_WRONLY), 128)
""",
    ),
    Attack(
        "fill the disk with many files",
        needs=("beside",),
        sign=disk_of(200),
        ends_as="limit_disk",
        held_by=("watch",),
        code=FILL
        + """
for number in range(24):
    fill(os.open(f"{number}", os.O_CREAT | os.O_WRONLY), 12)
    time.sleep(0.06)
""",
    ),
    Attack(
        "fill the disk with files that have no name any more",
        needs=("beside",),
        sign=disk_of(200),
        held_by=("seccomp+watch",),
        code=FILL
        + """
for number in range(24):
    fd = os.open("a", os.O_CREAT | os.O_WRONLY)
    os.unlink("a")
    os.lseek(fd, 0, 2)
    fill(fd, 12)
    os.close(fd) if os.path.exists("a") else None
    time.sleep(0.06)
""",
    ),
    Attack(
        "fill the disk with files that never had a name",
        needs=("beside",),
        sign=disk_of(200),
        held_by=("seccomp",),
        code=FILL
        + """
for number in range(24):
    fill(os.open(".", os.O_TMPFILE | os.O_RDWR), 12)
""",
    ),
    Attack(
        "take the disk in one call",
        needs=("beside",),
        sign=disk_of(400),
        held_by=("seccomp",),
        code="""
fd = os.open("a", os.O_CREAT | os.O_WRONLY)
if libc.fallocate(fd, 1, ctypes.c_long(0), ctypes.c_long(512 * 2**20)) < 0:
    raise OSError(ctypes.get_errno(), "fallocate")
time.sleep(0.1)
""",
    ),
    Attack(
        "make files without end",
        needs=("beside",),
        sign=files_over(6_000),
        ends_as="limit_disk",
        held_by=("watch",),
        code="""
for number in range(7_000):
    os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY))
    if number % 100 == 0:
        time.sleep(0.04)
""",
    ),
    Attack(
        "make folders that nobody can name",
        needs=("beside",),
        sign=deep,
        ends_as="limit_disk",
        held_by=("watch",),
        code="""
at = os.open(".", os.O_RDONLY)
for number in range(450):
    os.mkdir("d", dir_fd=at)
    below = os.open("d", os.O_RDONLY, dir_fd=at)
    os.close(at)
    at = below
    if number % 10 == 0:
        time.sleep(0.03)
time.sleep(0.3)
""",
    ),
    Attack(
        "start threads without end",
        sign=threads_over(500),
        held_by=("rlimits+privileges", "watch") if os.geteuid() == 0 else ("watch",),
        code="""
load("threading").stack_size(65_536)
for number in range(800):
    sys.modules["_thread"].start_new_thread(time.sleep, (5,))
    time.sleep(0.02) if number % 10 == 0 else None
time.sleep(0.3)
""",
    ),
    Attack(
        "take memory",
        sign=memory_of(900),
        ends_as="limit_memory",
        held_by=("watch",),
        code="""
kept = []
for _ in range(100):
    kept.append(b"x" * (10 * 2**20))
    time.sleep(0.03)
time.sleep(0.2)
""",
    ),
    Attack(
        "take memory that no limit counts",
        sign=status_over("RssShmem", 100 * 1024),
        lingers=True,
        held_by=("seccomp",),
        code="""
ctypes.memset(memory(150 * 2**20, 3, 0x21), 1, 150 * 2**20)
""",
    ),
    Attack(
        "take memory in a file",
        sign=holds("memfd:"),
        lingers=True,
        held_by=("seccomp",),
        code="""
fd = call("memfd_create", text("large"), 0)
os.write(fd, bytes(50 * 2**20))
return fd
""",
    ),
    Attack(
        "take the kernel's memory by page tables",
        sign=status_over("VmPTE", 64 * 1024),
        lingers=True,
        held_by=("rlimits",),
        code="""
address = memory(40 * 2**30, 1, 0x4022)
for place in range(address, address + 40 * 2**30, 2**21):
    ctypes.c_char.from_address(place).value
""",
    ),
    Attack(
        "take the kernel's memory by locks",
        needs=("beside",),
        sign=locks_made,
        lingers=True,
        held_by=("seccomp",),
        code="""
import fcntl, struct
fd = os.open("a", os.O_CREAT | os.O_RDWR)
for number in range(200):
    fcntl.fcntl(fd, 6, struct.pack("hhqqi4x", 1, 0, 2 * number, 1, 0))
""",
    ),
    Attack(
        "raise its limits",
        sign=lambda trial: _limit_of(trial, "Max file size") not in (64 * 2**20, None),
        lingers=True,
        held_by=("rlimits+privileges",) if os.geteuid() == 0 else (),
        as_root="raising a limit asks for CAP_SYS_RESOURCE",
        code="""
limits = load("resource")
limits.setrlimit(limits.RLIMIT_FSIZE, (2**40, 2**40))
""",
    ),
]
ATTACKS = [*AGAIN, *OWN]
ALONE = [(layer, attack) for attack in OWN for layer in attack.held_by]
# What newer versions of Landlock stop as well.
_NEWER: Final = {"tcp", "mptcp", "abstract", "victim"}
_OLD: Final = [
    attack
    for attack in ATTACKS
    if not attack.ends_as and "landlock" in attack.held_by and (attack in OWN or _NEWER & set(attack.needs))
] + [attack for attack in OWN if attack.held_by == ("seccomp",)]
OPEN_FILE: Final = Attack(
    "read what an import has left open",
    sign=secret_told,
    code=f"return os.pread({without.LEFT_OPEN_FD}, 65536, 0)",
)


def _limit_of(trial: Trial, name: str) -> int | None:
    try:
        lines = Path(f"/proc/{trial.pid}/limits").read_text().splitlines()
    except OSError:
        return None
    value = next(line[26:].split()[0] for line in lines if line.startswith(name))
    return -1 if value == "unlimited" else int(value)


def test_it_works_with_all_locks_off(attack: Attack, free: EngineLaboratory):
    free.expect_success(attack)


def test_the_locks_stop_it(attack: Attack, engines: Engines):
    engines().expect_stop(attack)


@pytest.mark.parametrize("old", _OLD, ids=str)
def test_the_first_landlock_is_enough(old: Attack, engines: Engines):
    """ABI 1 of Linux 5.13 knows neither emptying of files, nor networks, nor signals: the filter does."""
    engines("new_landlock").expect_stop(old)


@pytest.mark.parametrize(("layer", "own"), ALONE, ids=str)
def test_one_layer_alone_stops_it(layer: str, own: Attack, engines: Engines):
    """DuckDB's lock is none here: the process is the attacker's. Where two do it together, both are there."""
    # Landlock and the filter ask for `no_new_privileges` where they are not put on by root.
    engines(*set(heavy.LAYERS) - {*layer.split("+"), "no_new_privileges"}).expect_stop(own)


def test_descriptors_left_open_are_closed_before_the_lock(engines: Engines):
    """No lock takes away what is open already."""
    engines("leaving_open", "environment", "closing").expect_success(OPEN_FILE)
    engines("leaving_open", "environment").expect_stop(OPEN_FILE)


def test_there_are_enough_attacks():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60
    assert machine.numbers()


def test_what_is_left_out_is_there():
    """A name that no attack has any more excuses nothing."""
    names = {
        attack.name
        for group in (*_GROUPS, "resources")
        for attack in importlib.import_module(f"tests.escapes.test_{group}").ATTACKS
    }
    assert set(_NOT_OF_ENGINES) <= names
