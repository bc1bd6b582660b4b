"""Locking the calling process for good: privileges, Landlock, limits and seccomp, by ctypes and without any capability.

Nothing here can be undone, and all of it is inherited by forked children. Every function raises LockError when the
kernel refuses, except Landlock, whose absence is reported instead: seccomp alone must then stop everything, and the
self-test decides.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import resource
import struct
from typing import Any, Final, NamedTuple

from penstock_guest import calls, filters, syscalls

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
_PRCTL = _LIBC.prctl
_PRCTL.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]

# Source: include/uapi/linux/prctl.h, landlock.h, capability.h.
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 4, 38, 65
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_VERSION = 1
_FS_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_RIGHTS, _SCOPES = 0b11, 0b11
_CAPABILITY_VERSION_3 = 0x2008_0522
NOBODY = 65534
_LAST_DESCRIPTOR: Final = 2**31 - 1
PROCESSES_MAX: Final = 8_192  # the kernel counts all of the user, and an ordinary one has others besides
_REHEARSALS: Final = 20


class LockError(Exception):
    """The kernel refused a part of the lock; the process must not go on."""


class Level(NamedTuple):
    """What the kernel gave: the Landlock ABI (0 = none) and the user id the process now has."""

    landlock_abi: int
    uid: int


def lock_process() -> Level:
    """Put the outer lock on this single-threaded process: it opens, connects and executes nothing from here on."""
    architecture = syscalls.this_machine()
    if architecture is None:
        raise LockError(
            f"no system-call table for machine {os.uname().machine}; valid: {', '.join(syscalls.ARCHITECTURES)}"
        )
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:  # a lock binds the thread that puts it on; another would stay free
        raise LockError(f"a library has started {threads - 1} threads; the process to be locked must have one")
    become_first_victim()
    drop_privileges()
    forbid_new_privileges()
    abi = restrict_with_landlock()
    level = Level(abi, os.getuid())
    install_filter(filters.outer(architecture))
    return level


def drop_privileges() -> None:
    """Become nobody where root may, and give up every capability."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # a container's root may lack CAP_SETUID, or have no such user
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    drop_capabilities()


def drop_capabilities() -> None:
    """Give up every capability, whoever this process belongs to."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    if _LIBC.capset(header, ctypes.create_string_buffer(24)) != 0:
        raise LockError(f"capset refused: {os.strerror(ctypes.get_errno())}")


def forbid_new_privileges() -> None:
    """Let no program give back what this process has given up, let nobody trace it, and no data become code."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    with contextlib.suppress(LockError):  # since Linux 6.3; the filters refuse the same acts without it
        _prctl(_PR_SET_MDWE, 1)


def landlock_abi() -> int:
    """Return the kernel's Landlock ABI, 0 where there is none (an old kernel, gVisor, or switched off at boot)."""
    return max(0, int(_SYSCALL(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)))


def restrict_with_landlock() -> int:
    """Deny every path, TCP port, abstract socket and signal that Landlock knows of; return the ABI used."""
    abi = landlock_abi()
    if abi == 0:
        return 0
    ruleset = landlock_ruleset(abi)
    refused = _SYSCALL(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    if refused:
        raise LockError(f"landlock_restrict_self refused: {os.strerror(ctypes.get_errno())}")
    return abi


def file_rights(abi: int) -> int:
    """Return the bits of every right over files that an ABI of Landlock knows."""
    return (1 << _FS_RIGHTS_BY_ABI.get(abi, 16)) - 1


def landlock_ruleset(abi: int) -> int:
    """Return the descriptor of a ruleset that denies all that an ABI of Landlock knows, but for rules still to come."""
    attributes = struct.pack("QQQ", file_rights(abi), _NET_RIGHTS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = int(_SYSCALL(_LANDLOCK_CREATE_RULESET, ctypes.create_string_buffer(attributes), ctypes.c_size_t(size), 0))
    if ruleset < 0:
        raise LockError(f"landlock_create_ruleset refused: {os.strerror(ctypes.get_errno())}")
    return ruleset


Call = tuple[Any, ...]  # a system call's number and its arguments


class Filter:
    """A seccomp program, assembled once so that each child only has to install it."""

    def __init__(self, program: list[filters.Instruction]) -> None:
        self._code = ctypes.create_string_buffer(filters.assemble(program))
        self._header = ctypes.create_string_buffer(struct.pack("H6xP", len(program), ctypes.addressof(self._code)), 16)
        self.calls: list[Call] = [(_numbers()["seccomp"], 1, 0, self._header)]


def install_filter(program: list[filters.Instruction]) -> None:
    """Put a seccomp program on this process for good."""
    made = Filter(program)
    go_through(made.calls)


def inner_filter() -> Filter:
    """Return the filter that each child installs, ready to use."""
    return Filter(filters.inner(_architecture()))


def death_calls() -> list[Call]:
    """Return what asks the kernel to kill this process when its parent dies."""
    return [(_numbers()["prctl"], filters.PR_SET_PDEATHSIG, 9, 0, 0, 0)]


def die_with(parent: int) -> None:
    """Be killed when the parent dies, and end at once if it died before the kernel knew of that."""
    go_through(death_calls())
    if os.getppid() != parent:
        os._exit(0)


def closing_calls() -> list[Call]:
    """Return what closes every descriptor but the first; nothing before Linux 5.9, which has no call for that."""
    number, last = _numbers()["close_range"], _LAST_DESCRIPTOR
    return [(number, 1, last, 0)] if calls.syscall(number, last, last, 0) == 0 else []


def go_through(made_ready: list[Call]) -> None:
    """Make system calls, none of which may be refused."""
    syscall = calls.syscall
    for call in made_ready:
        if syscall(*call) < 0:
            raise LockError(f"system call {call[0]} refused: {calls.failure()}")


def rehearse() -> None:
    """Let the interpreter adapt to `go_through`, which a process that stays unlocked cannot do."""
    harmless: list[Call] = [(syscalls.numbers(syscalls.CHILD, _architecture())["getpid"],)]
    for _ in range(_REHEARSALS):
        go_through(harmless)


class Footprint(NamedTuple):
    """Memory that a zygote has before its children add to it, in bytes."""

    address_space: int
    data: int


def footprint() -> Footprint:
    """Return what this process has mapped; it needs /proc, so it is taken before the lock."""
    with open("/proc/self/statm") as statm:
        pages = [int(field) for field in statm.read().split()]
    page_bytes = resource.getpagesize()
    return Footprint(pages[0] * page_bytes, pages[5] * page_bytes)


def limit_memory(before: Footprint, *, memory_bytes: int, mapped_bytes: int) -> None:
    """Bound the memory that a child may add to its zygote and the number of processes, and forbid what else there is.

    The bound on processes is the user's, so it holds for all zygotes together, and not for root: it keeps one that was
    taken over from filling the machine.

    Args:
        before: the zygote's own footprint.
        memory_bytes: private memory a child may add.
        mapped_bytes: size of the arenas a child maps besides.
    """
    _limit(resource.RLIMIT_DATA, before.data + memory_bytes)
    # RLIMIT_DATA does not count read-only mappings, whose page tables cost memory all the same.
    _limit(resource.RLIMIT_AS, before.address_space + memory_bytes + mapped_bytes)
    _limit(resource.RLIMIT_NPROC, PROCESSES_MAX)
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE):
        _limit(kind, 0)


def limit_calls(*, cpu_s: int) -> list[Call]:
    """Return what bounds one child's CPU time, and forbids it new processes and descriptors."""
    bounds = {
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_NOFILE: (0, 0),
    }
    number = _numbers()["prlimit64"]
    pairs = {kind: ctypes.create_string_buffer(struct.pack("QQ", *pair)) for kind, pair in bounds.items()}
    return [(number, 0, kind, pair, None) for kind, pair in pairs.items()]


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (ceiling, ceiling))


def become_first_victim() -> None:
    """Let the kernel end this process before others when memory runs out."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def _prctl(option: int, value: int) -> None:
    if _PRCTL(option, value, 0, 0, 0) != 0:
        raise LockError(f"prctl({option}) refused: {os.strerror(ctypes.get_errno())}")


def _numbers() -> dict[str, int]:
    return syscalls.numbers(syscalls.ZYGOTE, _architecture())


@functools.cache  # asked for before the lock, under which the kernel does not say
def _architecture() -> syscalls.Architecture:
    architecture = syscalls.this_machine()
    assert architecture is not None, "lock_process refuses machines without a table"
    return architecture
