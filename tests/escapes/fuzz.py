"""Random system calls with random arguments, made by locked children: nothing outside may be touched by them.

`python -m tests.escapes.fuzz --seconds 60 --seed 1`: the same seed gives the same calls, child by child.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from penstock.core.scripts import ScriptVersion
from penstock.sandbox.children import Children, Death
from penstock_guest import syscalls
from penstock_guest.lock import NOBODY
from tests.escapes.attack import SMALL, Attack
from tests.escapes.laboratory import Laboratory, processes_of, request, script, settles
from tests.escapes.scene import Scene

_THREADS: Final = 6
_LIMITS: Final = replace(SMALL, wall_s=0.2, cpu_s=1)
_CALLS_A_CHILD: Final = 400
_NEEDS: Final = ("canary", "own_file", "hidden_name", "tcp", "udp", "unix", "abstract", "victim", "keyring")
# Most calls are of numbers that the lock knows: of the others three in four kill at once, and nothing comes after.
_CODE: Final = """
import random
chance = random.Random(data["seed"])
libc.syscall.argtypes = [ctypes.c_long] * 7
mark = next(frame.f_locals["output"].mark for frame in frames() if "output" in frame.f_locals)
scratch = memory(65536)
places = [text(bytes.fromhex(data["bytes"][name])) for name in sorted(data["bytes"])]
pointers = [scratch, scratch + 4096, ctypes.addressof(ctypes.c_char.from_buffer(mark)), *map(ctypes.addressof, places)]
vector = (ctypes.c_long * 16)(*[value for pointer in pointers[3:11] for value in (pointer, 32)])
numbers = [0, 1, 2, 3, 4, 7, 9, 16, 32, 64, 128, 255, 4096, 65536, 2**20, 2**31, 2**32 - 1, 2**62, -1, -100, -2**63]
flags = [1 << bit for bit in range(0, 32)] + [0o102, 0o1101, 0x22, 0x32, 0x10000000, 0x7E020000]
values = [*numbers, *pointers * 2, ctypes.addressof(vector), *flags, *data["processes"], os.getpid()]
known, x32 = data["known"], 0x40000000
mark[0] = mark[1] = 0
for count in range(data["calls"]):
    dice = chance.random()
    if dice < 0.94:
        number = chance.choice(known)
    elif dice < 0.99:
        number = chance.randrange(600)
    else:
        number = chance.choice([x32 + chance.randrange(600), chance.randrange(2**31), -chance.randrange(2**31)])
    arguments = [chance.choice(values) if chance.random() < 0.9 else chance.getrandbits(63) for _ in range(6)]
    mark[1] = count + 1
    if libc.syscall(number, *arguments) == -1 and ctypes.get_errno() == 1:
        mark[0] += 1
return count
"""


@dataclass(slots=True)
class Tally:
    """What a round of fuzzing has done and seen.

    Attributes:
        calls: system calls made.
        refused: of these, answered with EPERM.
        ends: how many children ended in which way.
        harm: what was touched outside; nothing, or the sandbox has a hole.
    """

    seed: int
    seconds: float
    children: int = 0
    calls: int = 0
    refused: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    harm: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{count:,} {end}" for end, count in self.ends.most_common())
        outside = f"TOUCHED: {'; '.join(self.harm)}" if self.harm else "nothing outside was touched"
        made = f"{self.calls:,} calls by {self.children:,} children in {self.seconds:g} s"
        return f"fuzz: seed {self.seed}; {made}; {self.refused:,} refused with EPERM; ends: {ends}; {outside}"

    def add(self, end: object) -> None:
        """Count one child."""
        self.children += 1
        if isinstance(end, Death):
            # A child may also write at random over its own account.
            self.calls += min(end.mark.record, _CALLS_A_CHILD)
            self.refused += min(end.mark.phase, end.mark.record, _CALLS_A_CHILD)
            self.ends[" ".join([end.code, *re.findall(r"SIG\w+", end.detail)])] += 1
        else:
            self.calls += _CALLS_A_CHILD
            self.ends["alive"] += 1


def run(laboratory: Laboratory, *, seconds: float, seed: int) -> Tally:
    """Let children make random calls for a while, and look at what has changed outside."""
    tally = Tally(seed, seconds)
    with contextlib.closing(Scene(laboratory.uid)) as scene:
        told = scene.prepare(_NEEDS)
        base = laboratory.base("std")
        before = processes_of(base), segments_of(laboratory.uid)
        with laboratory.children(_script(), seats=2 * _THREADS) as (children, _):
            _make_calls(children, tally, data_of(told, scene), time.monotonic() + seconds)
        if scene.touched():
            tally.harm.append("a file, a listener or the victim")
        if scene.keys_of_the_user() > scene.keys_before or segments_of(laboratory.uid) != before[1]:
            tally.harm.append("the kernel keeps something")
        if not settles(lambda: processes_of(base) == before[0]):
            tally.harm.append("a process is left")
        with laboratory.children(script(Attack("honest", "return 1", sign=bool).source())) as (children, _):
            if getattr(children.run(*request({"numbers": {}, "paths": []})), "output", b"") != b'{"loot":1}\n':
                tally.harm.append("an honest script does not run any more")
    return tally


def calls_of_one_child(laboratory: Laboratory, *, seed: int) -> tuple[str, int]:
    """Return how one child ended, and after how many calls."""
    tally = Tally(seed, 0)
    with contextlib.closing(Scene(laboratory.uid)) as scene:
        told = scene.prepare(_NEEDS)
        with laboratory.children(_script()) as (children, _):
            tally.add(children.run(*request(data_of(told, scene) | {"seed": seed})))
    return next(iter(tally.ends)), tally.calls


def _script() -> ScriptVersion:
    return script(Attack("fuzz", _CODE, sign=bool).source(), limits=_LIMITS)


def data_of(told: dict[str, Any], scene: Scene) -> dict[str, Any]:
    """Return what makes calls dangerous if they were let through: real paths, addresses and processes."""
    architecture = syscalls.this_machine()
    assert architecture is not None, "the lock refuses machines without a table"
    tables = syscalls.CHILD, syscalls.REFUSED, syscalls.ZYGOTE
    internet = struct.pack("=H", socket.AF_INET) + struct.pack(">H", told["tcp"]) + bytes([127, 0, 0, 1]) + bytes(8)
    datagram = internet[:2] + struct.pack(">H", told["udp"]) + internet[4:]
    local = struct.pack("=H", socket.AF_UNIX)
    places = {
        "canary": told["canary"].encode(),
        "own": told["own_file"].encode(),
        "new": f"{scene.folder}/new".encode(),
        "folder": str(scene.folder).encode(),
        "shell": b"/bin/sh",
        "memory": f"/proc/{told['victim']['pid']}/mem".encode(),
        "tcp": internet,
        "udp": datagram,
        "unix": local + told["unix"].encode(),
        "abstract": local + b"\0" + told["abstract"].encode(),
    }
    return {
        "bytes": {name: place.hex() for name, place in places.items()},
        "known": sorted({number for table in tables for number in syscalls.numbers(table, architecture).values()}),
        "processes": [told["victim"]["pid"], told["victim"]["address"], os.getpid()],
        "calls": _CALLS_A_CHILD,
        "numbers": {},
        "paths": [],
    }


def segments_of(uid: int) -> list[str]:
    """Return what the kernel keeps for a user beyond processes: shared memory, queues, semaphores."""
    tables = [
        path for path in map(Path, ("/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem")) if path.exists()
    ]
    return [f"{path.name} {line}" for path in tables for line in path.read_text().splitlines() if f" {uid} " in line]


def _make_calls(children: Children, tally: Tally, data: dict[str, Any], until_s: float) -> None:
    seeds, counting = random.Random(tally.seed), threading.Lock()

    def work() -> None:
        while time.monotonic() < until_s:
            with counting:
                seed = seeds.getrandbits(48)
            end = children.run(*request(data | {"seed": seed}))
            with counting:
                tally.add(end)

    threads = [threading.Thread(target=work, name="fuzz") for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> int:
    """Fuzz for as long as asked, and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    asked = parser.parse_args()
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    with contextlib.closing(Laboratory(frozenset(), uid=uid)) as laboratory:
        tally = run(laboratory, seconds=asked.seconds, seed=asked.seed)
    print(tally)  # noqa: T201  # a program that says what it found
    return 1 if tally.harm else 0


if __name__ == "__main__":
    sys.exit(main())
