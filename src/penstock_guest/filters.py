"""The two seccomp-bpf programs of the strict class: pure functions from tables to instructions.

Both run for every system call of a child, and the stricter answer wins:

- the *outer* filter allows what a zygote and its children need, refuses with EPERM what Python code may stumble into,
  and kills the process for all else. It is put on once per base zygote, and inherited;
- the *inner* filter takes away what only a zygote needs. It is put on in each child, so it is kept short: installing
  costs time for each instruction, and this is paid on every run.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from penstock_guest.syscalls import CHILD, REFUSED, ZYGOTE, Architecture, numbers

# Source: include/uapi/linux/seccomp.h and filter.h.
KILL = 0x8000_0000
EPERM = 0x0005_0000 | 1
ENOSYS = 0x0005_0000 | 38
ALLOW = 0x7FFF_0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32_BIT = 0x4000_0000

PROT_EXEC = 4
MAP_SHARED = 1
# Source: include/uapi/asm-generic/fcntl.h; both architectures have these values.
_O_WRONLY, _O_RDWR, _O_TRUNC, _O_TMPFILE = 0o1, 0o2, 0o1000, 0o20000000
# glibc's fork: SIGCHLD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID. Anything else is a thread or a namespace.
FORK_FLAGS = 0x0120_0011
PR_SET_PDEATHSIG = 1
# Source of these: include/uapi/asm-generic/mman-common.h, mman.h and linux/futex.h.
# Type, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE, MAP_STACK, MAP_FIXED_NOREPLACE. Left out are huge and locked pages, and
# memory that grows by itself.
MAP_FLAGS = 0x03 | 0x10 | 0x20 | 0x4000 | 0x2_0000 | 0x10_0000
# NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, POPULATE_READ and _WRITE. Left out is,
# among others, to have pages merged: those merged with other processes' tell, by their timing, what those hold.
ADVICE = (0, 1, 2, 3, 4, 8, 14, 15, 22, 23)
# WAIT, WAKE, WAIT_BITSET, WAKE_BITSET, and the same with FUTEX_PRIVATE_FLAG; WAIT_BITSET by the wall clock. Left out is
# what moves waiters or lends priority, where most of this call's holes were found; one thread needs none of it.
FUTEXES = (0, 1, 9, 10, 128, 129, 137, 138, 265, 393)


class Instruction(NamedTuple):
    """One `struct sock_filter`."""

    code: int
    if_true: int
    if_false: int
    value: int


def outer(architecture: Architecture) -> list[Instruction]:
    """Return the filter of a base zygote and of everything it forks: an allow-list; what it does not name kills."""
    special = {
        "mmap": refuse_bits(argument=2, bits=PROT_EXEC) + refuse_bits(argument=3, bits=MAP_FLAGS ^ 0xFFFF_FFFF),
        "mprotect": refuse_bits(argument=2, bits=PROT_EXEC),
        "madvise": one_of(argument=2, values=ADVICE),
        "futex": one_of(argument=1, values=FUTEXES),
        "clone": only(argument=0, value=FORK_FLAGS, otherwise=EPERM),
        "prctl": only(argument=0, value=PR_SET_PDEATHSIG, otherwise=KILL),
        "prlimit64": only(argument=0, value=0, otherwise=EPERM),  # itself; other processes of the user have limits too
    }
    rules = {number: [*special.get(name, []), result(ALLOW)] for name, number in _allowed(architecture).items()}
    # ENOSYS makes glibc fall back from clone3, whose flags lie in memory and cannot be filtered, to clone.
    refused = {
        number: [result(ENOSYS if name == "clone3" else EPERM)]
        for name, number in numbers(REFUSED, architecture).items()
    }
    return program(architecture, rules | refused, otherwise=KILL)


def inner(architecture: Architecture) -> list[Instruction]:
    """Return what a child adds before it sees any tenant byte: no fork, no lock, no shared memory."""
    refused = {"clone": EPERM, "wait4": EPERM, "recvmsg": EPERM}
    rules = {number: [result(refused.get(name, KILL))] for name, number in numbers(ZYGOTE, architecture).items()}
    rules[numbers(CHILD, architecture)["mmap"]] = [*refuse_bits(argument=3, bits=MAP_SHARED), result(ALLOW)]
    return program(architecture, rules, otherwise=ALLOW)


def assemble(program: list[Instruction]) -> bytes:
    """Return the program as the kernel reads it: 8 bytes an instruction."""
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _allowed(architecture: Architecture) -> dict[str, int]:
    return numbers(CHILD, architecture) | numbers(ZYGOTE, architecture)


def program(architecture: Architecture, rules: dict[int, list[Instruction]], *, otherwise: int) -> list[Instruction]:
    """Return the filter that follows rules: what is done for each system call by its number, and for all others."""
    instructions = [
        Instruction(_LOAD, 0, 0, _ARCH),
        Instruction(_EQUAL, 1, 0, architecture.audit),
        result(KILL),
        Instruction(_LOAD, 0, 0, _NUMBER),
    ]
    if architecture.name == "x86_64":
        instructions += [Instruction(_AT_LEAST, 0, 1, _X32_BIT), result(KILL)]
    for number, body in rules.items():
        instructions += [Instruction(_EQUAL, 0, len(body), number), *body]
    return [*instructions, result(otherwise)]


def result(action: int) -> Instruction:
    """Return what ends a rule: to allow, to refuse with an error, or to kill."""
    return Instruction(_RETURN, 0, 0, action)


def _load_argument(argument: int, *, high: bool = False) -> Instruction:
    return Instruction(_LOAD, 0, 0, _ARGUMENTS + 8 * argument + (4 if high else 0))


def refuse_bits(*, argument: int, bits: int) -> list[Instruction]:
    """Return the begin of a rule that refuses an argument with any of some bits."""
    return [_load_argument(argument), Instruction(_ANY_BIT, 0, 1, bits), result(EPERM)]


def answer_value(*, argument: int, value: int, action: int) -> list[Instruction]:
    """Return the begin of a rule that answers one value of an argument by an action of its own."""
    return [_load_argument(argument), Instruction(_EQUAL, 0, 1, value), result(action)]


def one_of(*, argument: int, values: tuple[int, ...]) -> list[Instruction]:
    """Return the begin of a rule that lets some values of an argument through."""
    tests = [Instruction(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_load_argument(argument), *tests, result(EPERM)]


def only(*, argument: int, value: int, otherwise: int) -> list[Instruction]:
    """Return the begin of a rule that lets one value of an argument through."""
    return [
        _load_argument(argument, high=True),
        Instruction(_EQUAL, 0, 2, 0),
        _load_argument(argument),
        Instruction(_EQUAL, 1, 0, value),
        result(otherwise),
    ]


def refuse_odd_opening(*, argument: int) -> list[Instruction]:
    """Return the begin of a rule that refuses to open files in ways that a folder's other rules do not see.

    Files without a name cannot be counted; and before its ABI 3, Landlock takes no notice of who empties a file that is
    opened for reading, or for neither reading nor writing.
    """
    return [
        *refuse_bits(argument=argument, bits=_O_TMPFILE),
        Instruction(_ANY_BIT, 0, 2, _O_WRONLY),
        Instruction(_ANY_BIT, 0, 1, _O_RDWR),
        result(EPERM),
        Instruction(_ANY_BIT, 0, 2, _O_TRUNC),
        Instruction(_ANY_BIT, 1, 0, _O_WRONLY | _O_RDWR),
        result(EPERM),
    ]
