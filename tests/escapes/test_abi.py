"""Attacks on the door between program and kernel: memory that becomes code, other call gates, other personalities."""

from __future__ import annotations

from tests.escapes import machine
from tests.escapes.attack import Attack
from tests.escapes.laboratory import Laboratory
from tests.escapes.trial import status_shows, touched

ATTACKS = [
    Attack(
        "run code in fresh memory",
        needs=("victim",),
        sign=touched,
        held_by=("outer", "mdwe"),
        code="""
address = memory(4096, 7)
ctypes.memmove(address, killing_code(data), 32)
run_at(address, data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "make memory executable",
        needs=("victim",),
        sign=touched,
        held_by=("outer", "mdwe"),
        code="""
address = memory(4096)
ctypes.memmove(address, killing_code(data), 32)
call("mprotect", address, 4096, 5)
run_at(address, data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "make memory executable by its key",
        needs=("victim",),
        sign=touched,
        held_by=("outer", "mdwe"),
        code="""
address = memory(4096)
ctypes.memmove(address, killing_code(data), 32)
call("pkey_mprotect", address, 4096, 5, -1)
run_at(address, data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "let the personality make memory executable",
        needs=("victim",),
        sign=touched,
        missing=machine.lacks_x86_64,
        held_by=("outer", "mdwe"),
        code="""
call("personality", 0x0400000)
address = memory(4096)
ctypes.memmove(address, killing_code(data), 32)
run_at(address, data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "map a file of memory as code",
        needs=("victim",),
        sign=touched,
        held_by=("outer", "rlimits"),
        code="""
fd = call("memfd_create", text("code"), 0)
os.write(fd, killing_code(data))
run_at(memory(4096, 5, 2, fd), data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "attach a segment as code",
        needs=("victim",),
        sign=touched,
        missing=machine.lacks_segments,
        held_by=("outer",),
        code="""
segment = call("shmget", 0, 4096, 0o1777)
ctypes.memmove(call("shmat", segment, None, 0), killing_code(data), 32)
address = call("shmat", segment, None, 0o110000)
libc.shmctl(segment, 0, None)
run_at(address, data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "call by the gate of 32 bits",
        needs=("victim",),
        sign=touched,
        missing=machine.lacks_32_bit_gate,
        held_by=("outer", "mdwe"),
        code=f"""
address = memory(4096, 7, 0x62)
ctypes.memmove(address, bytes.fromhex("{machine.KILLING_CODE_32_BIT}"), 32)
run_at(address, data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "take another name",
        sign=status_shows("Name", "escaped".__eq__),
        lingers=True,
        held_by=("outer", "inner"),
        code="""
call("prctl", 15, text("escaped"), 0, 0, 0)
""",
    ),
]


def test_it_works_with_the_lock_off(attack: Attack, unlocked: Laboratory):
    unlocked.expect_success(attack)


def test_the_lock_stops_it(attack: Attack, locked: Laboratory):
    locked.expect_stop(attack)
