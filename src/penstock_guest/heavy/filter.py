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


def engine(architecture: Architecture) -> list[Instruction]:
    """Return the filter of a heavy child, made for the process that puts it on: an allow-list."""
    special = {
        "mmap": filters.refuse_bits(argument=2, bits=filters.PROT_EXEC),
        "mprotect": filters.refuse_bits(argument=2, bits=filters.PROT_EXEC),
        "madvise": filters.refuse_value(argument=2, value=filters.MADV_MERGEABLE),
        "clone": filters.only(argument=0, value=THREAD_FLAGS, otherwise=filters.EPERM),
        "prlimit64": filters.only(argument=0, value=0, otherwise=filters.EPERM),
        "tgkill": filters.only(argument=0, value=os.getpid(), otherwise=filters.EPERM),  # abort() signals itself
    }
    rules = {
        number: [*special.get(name, []), filters.result(filters.ALLOW)]
        for name, number in calls.allowed(architecture).items()
    }
    # ENOSYS makes glibc fall back from clone3, whose flags lie in memory and cannot be filtered, to clone.
    rules |= {
        number: [filters.result(filters.ENOSYS if name == "clone3" else filters.EPERM)]
        for name, number in calls.refused(architecture).items()
    }
    return filters.program(architecture, rules, otherwise=filters.KILL)
