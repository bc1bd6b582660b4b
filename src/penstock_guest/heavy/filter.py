"""The seccomp-bpf program of the heavy class: threads and files, no network, no new program, no new process."""

from __future__ import annotations

import os

from penstock_guest import filters
from penstock_guest.filters import Instruction
from penstock_guest.heavy import calls
from penstock_guest.syscalls import Architecture

# glibc's pthread_create: VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID.
# Source: sysdeps/unix/sysv/linux/createthread.c. Anything else is a process or a namespace.
THREAD_FLAGS = 0x003D_0F00
PRETENDED = 0x0005_0000  # SECCOMP_RET_ERRNO without an error: the call is not made, and says that all went well
_F_SETLK = 6
# DuckDB removes what it has spilled. It stays, and is counted, until this process has ended: an engine that could take
# away the names of files that are open, or mapped, could fill a disk with what nobody sees.
_REMOVING = ("unlink", "unlinkat", "rmdir")


def engine(architecture: Architecture) -> list[Instruction]:
    """Return the filter of a heavy child, made for the process that puts it on: an allow-list."""
    special = {
        # No limit counts shared memory.
        "mmap": [
            *filters.refuse_bits(argument=2, bits=filters.PROT_EXEC),
            *filters.refuse_bits(argument=3, bits=filters.MAP_FLAGS ^ 0xFFFF_FFFF | filters.MAP_SHARED),
        ],
        "mprotect": filters.refuse_bits(argument=2, bits=filters.PROT_EXEC),
        "madvise": filters.one_of(argument=2, values=filters.ADVICE),
        "futex": filters.one_of(argument=1, values=filters.FUTEXES),
        "open": filters.refuse_odd_opening(argument=1),
        "openat": filters.refuse_odd_opening(argument=2),
        "clone": filters.only(argument=0, value=THREAD_FLAGS, otherwise=filters.EPERM),
        "prlimit64": filters.only(argument=0, value=0, otherwise=filters.EPERM),
        "tgkill": filters.only(argument=0, value=os.getpid(), otherwise=filters.EPERM),  # abort() signals itself
    }
    rules = {
        number: [*special.get(name, []), filters.result(filters.ALLOW)]
        for name, number in calls.allowed(architecture).items()
    }
    # ENOSYS makes glibc fall back from clone3, whose flags lie in memory and cannot be filtered, to clone.
    odd = {"clone3": [filters.result(filters.ENOSYS)], "fcntl": _pretend_to_lock()}
    odd |= {name: [filters.result(PRETENDED)] for name in _REMOVING}
    rules |= {
        number: odd.get(name, [filters.result(filters.EPERM)]) for name, number in calls.refused(architecture).items()
    }
    return filters.program(architecture, rules, otherwise=filters.KILL)


def _pretend_to_lock() -> list[Instruction]:
    """Return the rule of fcntl: DuckDB locks each file that it writes, and nobody else has the staging folder open.

    A lock that were made would be memory of the kernel's, as many as there are bytes in a file.
    """
    return [*filters.answer_value(argument=1, value=_F_SETLK, action=PRETENDED), filters.result(filters.EPERM)]
