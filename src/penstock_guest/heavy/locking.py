"""Locking a heavy child for good: no capability, Landlock that leaves it its own files, seccomp, limits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
from collections.abc import Iterable
from typing import Any, Final

from penstock_guest import lock, syscalls
from penstock_guest.heavy import filter as heavy_filter
from penstock_guest.lock import LockError

_SYSCALL: Final = ctypes.CDLL(None, use_errno=True).syscall
_SYSCALL.restype = ctypes.c_long
# Source: include/uapi/linux/landlock.h.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH: Final = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_DIR, _MAKE_REG, _TRUNCATE = 1 << 7, 1 << 8, 1 << 14
_READING: Final = _READ_FILE | _READ_DIR
# No links, devices, sockets or pipes; and nothing is removed or renamed, so that what was written can be counted.
_WRITING: Final = _READING | _WRITE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
_ON_FILES: Final = _READ_FILE | _WRITE_FILE | _EXECUTE | _TRUNCATE
_ABI_MIN: Final = 1
_FILES_MAX: Final = 1024
# Room for what allocators reserve and do not use: measured 0.35 GiB of writable and 1 GiB of all address space beyond
# what DuckDB was told to keep to.
_RESERVED_BYTES: Final = 512 * 2**20
_MAPPED_BYTES: Final = 4 * 2**30
_OWN_IDS: Final = 2_000_000_000


def lock_engine(
    limits: dict[str, Any], *, service: int, reads: Iterable[str], libraries: Iterable[str], writes: str
) -> int:
    """Lock this single-threaded process for good, and return the Landlock ABI that holds it.

    Args:
        limits: `memory_bytes`, `cpu_s`, `disk_bytes`, `threads_max`.
        service: the process whose end is this one's.
        reads: files and folders that it may read; a link among them gives nothing.
        libraries: files and folders of the system that it may read, through links as well.
        writes: the one folder in which it may make and change files.

    Raises:
        LockError: when the kernel refuses, or has no Landlock: files are what this class has to bound.
    """
    architecture = syscalls.this_machine()
    if architecture is None:
        raise LockError(f"no system-call table for machine {os.uname().machine}")
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:  # a lock binds the thread that puts it on; another would stay free
        raise LockError(f"a library has started {threads - 1} threads; the process to be locked must have one")
    lock.become_first_victim()
    _drop_privileges(threads_max=limits["threads_max"])
    _limit(limits)
    lock.forbid_new_privileges()
    lock.die_with(service)
    abi = _restrict(reads, libraries, writes)
    lock.install_filter(heavy_filter.engine(architecture))
    return abi


def _drop_privileges(*, threads_max: int) -> None:
    """Give up capabilities and groups, and bound threads by a user id of this process's own where root may choose.

    The effective user id stays: inputs and staging folders are the service's. The kernel counts threads by real user
    id, and does not count those of root; those of an ordinary user it counts together, so that bound is a wide one.
    """
    if os.geteuid() != 0:
        with contextlib.suppress(ValueError):  # it may be lower already
            resource.setrlimit(resource.RLIMIT_NPROC, (lock.PROCESSES_MAX, lock.PROCESSES_MAX))
    else:
        with contextlib.suppress(OSError):  # a container's root may lack CAP_SETUID, or have few ids
            os.setgroups([])
            os.setresuid(_OWN_IDS + os.getpid(), -1, -1)
            resource.setrlimit(resource.RLIMIT_NPROC, (threads_max, threads_max))
    lock.drop_capabilities()


def _limit(limits: dict[str, Any]) -> None:
    bounds = {
        resource.RLIMIT_DATA: limits["memory_bytes"] + _RESERVED_BYTES,
        resource.RLIMIT_AS: limits["memory_bytes"] + _MAPPED_BYTES,  # page tables of empty memory are memory too
        resource.RLIMIT_FSIZE: limits["disk_bytes"],
        resource.RLIMIT_NOFILE: _FILES_MAX,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, value in bounds.items():
        hard = resource.getrlimit(kind)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"] + 1))  # a signal that says so, then death


def _restrict(reads: Iterable[str], libraries: Iterable[str], writes: str) -> int:
    abi = lock.landlock_abi()
    if abi < _ABI_MIN:
        raise LockError("this kernel has no Landlock, and nothing else bounds the files of an engine")
    known = lock.file_rights(abi)
    ruleset = lock.landlock_ruleset(abi)
    try:
        for path in libraries:
            _allow(ruleset, path, _READING & known, os.O_PATH)
        for path in reads:
            _allow(ruleset, path, _READING & known, os.O_PATH | os.O_NOFOLLOW)
        _allow(ruleset, writes, _WRITING & known, os.O_PATH | os.O_NOFOLLOW)
        if _SYSCALL(_RESTRICT_SELF, ruleset, 0):
            raise LockError(f"landlock_restrict_self refused: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(ruleset)
    return abi


def _allow(ruleset: int, path: str, rights: int, flags: int) -> None:
    with contextlib.ExitStack() as stack:
        try:
            fd = os.open(path, flags | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # as a folder of libraries that this system does not have
        stack.callback(os.close, fd)
        if not os.path.isdir(f"/proc/self/fd/{fd}"):
            rights &= _ON_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, fd))
        if _SYSCALL(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0):
            raise LockError(f"landlock_add_rule refused {path}: {os.strerror(ctypes.get_errno())}")
