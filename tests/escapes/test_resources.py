"""Attacks on what all share: processor time, memory, output, places for processes, and the kernel's own memory."""

from __future__ import annotations

from dataclasses import replace

from tests.escapes.attack import MIB, SMALL, Attack
from tests.escapes.laboratory import Laboratory
from tests.escapes.trial import cpu_over, holds, memory_over, status_over, status_shows, touched, wall_over

ONE_SECOND = replace(SMALL, cpu_s=1)
HALF_A_SECOND_WALL = replace(SMALL, wall_s=0.5)

ATTACKS = [
    Attack(
        "compute for ever",
        sign=cpu_over(1.3),
        limits=ONE_SECOND,
        ends_as="limit_cpu",
        held_by=("rlimits",),
        code="""
while time.process_time() < 1.5:
    pass
""",
    ),
    Attack(
        "ignore the warning and compute on",
        sign=cpu_over(2.2),
        limits=ONE_SECOND,
        ends_as="limit_cpu",
        code="""
sys.modules["signal"].signal(24, sys.modules["signal"].SIG_IGN)
while time.process_time() < 2.4:
    pass
""",
    ),
    Attack(
        "match a regular expression for ever",
        sign=cpu_over(1.3),
        limits=ONE_SECOND,
        ends_as="limit_cpu",
        code="""
import re
while time.process_time() < 1.5:
    re.match("(a+)+$", "a" * 20 + "b")
""",
    ),
    Attack(
        "compute while the exception is described",
        sign=cpu_over(1.3),
        limits=ONE_SECOND,
        ends_as="limit_cpu",
        code="""
class Slow(Exception):
    def __str__(self):
        while time.process_time() < 1.5:
            pass
        return ""
raise Slow
""",
    ),
    Attack(
        "compute for ever in JavaScript",
        language="javascript",
        profile="js",
        sign=cpu_over(1.1),
        limits=ONE_SECOND,
        ends_as="limit_cpu",
        code="""
function process(data) { for (let n = 0; n < 1.5e8; n++); return data }
""",
    ),
    Attack(
        "sleep",
        sign=wall_over(0.9),
        limits=HALF_A_SECOND_WALL,
        lifted={"wall_s": 5},
        ends_as="limit_wall",
        code="""
time.sleep(1)
""",
    ),
    Attack(
        "stop itself",
        sign=wall_over(0.4),
        limits=HALF_A_SECOND_WALL,
        held_by=("outer",),
        code="""
os.kill(os.getpid(), 19)
""",
    ),
    Attack(
        "take memory in pieces",
        sign=memory_over(150),
        lingers=True,
        ends_as="limit_memory",
        held_by=("rlimits",),
        code="""
builtins.kept = [b"x" * 2**20 for _ in range(200)]
""",
    ),
    Attack(
        "take memory in one piece",
        sign=status_over("VmPeak", MIB),
        lingers=True,
        ends_as="limit_memory",
        held_by=("rlimits",),
        code="""
builtins.kept = bytearray(2**30)
""",
    ),
    Attack(
        "take memory in JavaScript",
        language="javascript",
        profile="js",
        sign=memory_over(150),
        lingers=True,
        lifted={"memory_bytes": 1024 * MIB},
        ends_as="limit_memory",
        code="""
var kept = [];
function process(data) { for (let n = 0; n < 200; n++) kept.push(n + "x".repeat(1 << 20)); return {} }
""",
    ),
    Attack(
        "take shared memory",
        sign=status_over("RssShmem", 100 * 1024),
        lingers=True,
        held_by=("inner", "rlimits"),
        code="""
ctypes.memset(memory(150 * 2**20, 3, 0x21), 1, 150 * 2**20)
""",
    ),
    Attack(
        "take a file of memory",
        sign=holds("memfd:"),
        lingers=True,
        held_by=("outer", "rlimits"),
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
        "keep memory from being taken back",
        sign=status_over("VmLck", 0),
        lingers=True,
        held_by=("outer", "rlimits"),
        code="""
libc.mlock(ctypes.c_long(memory(16384)), ctypes.c_long(16384))
""",
    ),
    Attack(
        "fill the disk",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
with open(data["drop"] + "/large", "wb") as file:
    for _ in range(8):
        file.write(bytes(2**20))
""",
    ),
    Attack(
        "take descriptors",
        sign=status_over("FDSize", 256),
        lingers=True,
        held_by=("outer", "rlimits"),
        code="""
for _ in range(300):
    os.dup(0)
""",
    ),
    Attack(
        "queue signals",
        sign=status_shows("SigQ", lambda value: int(value.split("/")[0]) > 300),
        lingers=True,
        held_by=("outer",),
        code="""
sys.modules["signal"].pthread_sigmask(0, [40])
information = (ctypes.c_int * 32)(40, 0, -1)
for _ in range(500):
    call("rt_sigqueueinfo", os.getpid(), 40, information)
""",
    ),
    Attack(
        "recurse deeply",
        sign=lambda trial: (trial.loot or 0) > 1000,
        limits=replace(SMALL, recursion=300),
        lifted={"recursion": 5000},
        ends_as="limit_recursion",
        code="""
def down(depth):
    return down(depth + 1) if depth < 2000 else depth
return down(0)
""",
    ),
    Attack(
        "flood the output",
        sign=lambda trial: len(trial.told) > 2 * MIB,
        lifted={"output_bytes": 8 * MIB},
        ends_as="limit_output",
        code="""
return "x" * 3 * 2**20
""",
    ),
]


def test_it_works_with_the_lock_off(attack: Attack, unlocked: Laboratory):
    unlocked.expect_success(attack)


def test_the_lock_stops_it(attack: Attack, locked: Laboratory):
    locked.expect_stop(attack)
