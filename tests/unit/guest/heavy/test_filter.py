"""The seccomp program of the heavy class decides as it should, and its table says what the kernel says."""

import itertools
import os

import pytest

from penstock_guest import filters
from penstock_guest.heavy import calls
from penstock_guest.heavy import filter as heavy
from penstock_guest.syscalls import ARCHITECTURES, CHILD, REFUSED, ZYGOTE, numbers
from tests.unit.guest.test_filters import EVERY, HIGH, WORDS, decided
from tests.unit.guest.test_lock import TOKENS, libseccomp

WORDS[heavy.PRETENDED] = "pretended"
SPECIAL = {"fcntl": "EPERM", "clone3": "ENOSYS", "unlink": "pretended", "unlinkat": "pretended", "rmdir": "pretended"}
__all__ = ["libseccomp"]


def said(architecture, name, *arguments):
    """What the filter says of a call by name."""
    tables = (CHILD, ZYGOTE, REFUSED, calls.ENGINE)
    table = {name: number for each in tables for name, number in numbers(each, architecture).items()}
    return decided(heavy.engine(architecture), table[name], *arguments, audit=architecture.audit)


@EVERY
def test_every_number_is_the_kernels(libseccomp, architecture):
    wrong = {}
    for entry in calls.ENGINE.split():
        name, ours = entry.split(":")[0], entry.split(":")[1 + architecture.column]
        theirs = libseccomp.seccomp_syscall_resolve_name_arch(TOKENS[architecture.name], name.encode())
        if (ours == "-") != (theirs < 0) or (ours != "-" and int(ours) != theirs):
            wrong[name] = (ours, theirs)
    assert wrong == {}


@EVERY
def test_no_call_is_allowed_and_refused(architecture):
    allowed, refused = calls.allowed(architecture), calls.refused(architecture)
    every = list(itertools.chain(allowed.values(), refused.values()))
    assert sorted(set(every)) == sorted(every)


@EVERY
def test_an_engine_may_use_files_and_threads(architecture):
    special = {"clone": (heavy.THREAD_FLAGS,), "tgkill": (os.getpid(),), "mmap": (0, 4096, 3, 0x22)}
    found = {name: said(architecture, name, *special.get(name, ())) for name in calls.allowed(architecture)}
    assert {name: word for name, word in found.items() if word != "allow"} == {}


@EVERY
def test_what_an_engine_may_stumble_into_is_refused_with_an_errno(architecture):
    found = {name: said(architecture, name) for name in calls.refused(architecture)}
    wrong = {name: word for name, word in found.items() if word != SPECIAL.get(name, "EPERM")}
    assert wrong == {}


@EVERY
def test_whatever_no_table_names_kills(architecture):
    named = {*calls.allowed(architecture).values(), *calls.refused(architecture).values()}
    for number in [*range(600), 1023, 2**30 - 1, 2**31 - 1, 2**31, 2**32 - 1]:
        if number not in named:
            assert decided(heavy.engine(architecture), number, audit=architecture.audit) == "kill", number


@EVERY
@pytest.mark.parametrize("name", ["socket", "connect", "sendmsg", "recvmsg", "execve", "kill", "rename", "renameat2"])
def test_no_network_no_programs_no_signals_and_nothing_is_moved(architecture, name):
    if name in calls.refused(architecture):
        assert said(architecture, name) == "EPERM"


@EVERY
def test_a_call_in_another_architectures_numbers_kills(architecture):
    other = next(each.audit for each in ARCHITECTURES.values() if each != architecture)
    for audit, number in itertools.product((0x4000_0003, 0x4000_0028, other, 0), range(50)):
        assert decided(heavy.engine(architecture), number, audit=audit) == "kill"


def test_a_call_by_the_x32_door_kills():
    architecture = ARCHITECTURES["x86_64"]
    for number in calls.allowed(architecture).values():
        assert decided(heavy.engine(architecture), number | 0x4000_0000, audit=architecture.audit) == "kill"


@EVERY
@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (heavy.THREAD_FLAGS, "allow"),
        (0x0120_0011, "EPERM"),  # fork
        (0x4111, "EPERM"),  # vfork
        (heavy.THREAD_FLAGS | 0x1000_0000, "EPERM"),  # CLONE_NEWUSER
        (heavy.THREAD_FLAGS ^ 0x0001_0000, "EPERM"),  # no CLONE_THREAD: a process in the same memory
        (heavy.THREAD_FLAGS | HIGH, "EPERM"),
        (0, "EPERM"),
    ],
)
def test_threads_and_neither_processes_nor_namespaces(architecture, flags, word):
    assert said(architecture, "clone", flags) == word


@EVERY
@pytest.mark.parametrize(
    ("protection", "flags", "word"),
    [
        (3, 0x22, "allow"),
        (1, 0x02, "allow"),
        (7, 0x22, "EPERM"),
        (4, 0x02, "EPERM"),
        (3, 0x21, "EPERM"),  # MAP_SHARED | MAP_ANONYMOUS
        (1, 0x01, "EPERM"),
        (3, 0x03, "EPERM"),  # MAP_SHARED_VALIDATE
        (3, 0x4_0022, "EPERM"),  # MAP_HUGETLB
        (3, 0x2022, "EPERM"),  # MAP_LOCKED
    ],
)
def test_memory_is_private_and_never_code(architecture, protection, flags, word):
    assert said(architecture, "mmap", 0, 4096, protection, flags) == word


@EVERY
@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (os.O_RDONLY, "allow"),
        (os.O_RDWR | os.O_CREAT, "allow"),
        (os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "allow"),
        (os.O_RDWR | os.O_CREAT | os.O_TRUNC, "allow"),
        (os.O_RDONLY | os.O_TRUNC, "EPERM"),
        (3, "EPERM"),
        (3 | os.O_TRUNC, "EPERM"),
        (os.O_RDWR | 0o20000000, "EPERM"),  # __O_TMPFILE
        (os.O_RDWR | os.O_TMPFILE, "EPERM"),
        (os.O_RDONLY | os.O_TRUNC | HIGH, "EPERM"),
    ],
)
def test_files_are_opened_in_ways_that_landlock_sees(architecture, flags, word):
    assert said(architecture, "openat", -100 % 2**64, 0, flags) == word
    if "open" in calls.allowed(architecture):
        assert said(architecture, "open", 0, flags) == word


@EVERY
@pytest.mark.parametrize(
    ("command", "word"), [(6, "pretended"), (8, "EPERM"), (10, "EPERM"), (4, "EPERM"), (0, "EPERM")]
)
def test_locks_are_pretended_and_nobody_is_signalled_by_a_file(architecture, command, word):
    """F_SETLK; F_SETOWN, F_SETSIG, F_SETFL and F_DUPFD."""
    assert said(architecture, "fcntl", 3, command) == word


@EVERY
def test_only_its_own_process_may_be_signalled_and_limited(architecture):
    assert said(architecture, "tgkill", os.getpid()) == "allow"
    assert said(architecture, "tgkill", os.getpid() + 1) == "EPERM"
    assert said(architecture, "tgkill", os.getpid() | HIGH) == "EPERM"
    assert said(architecture, "prlimit64", 0) == "allow"
    assert said(architecture, "prlimit64", 4711) == "EPERM"


@EVERY
def test_the_kernel_takes_the_program(architecture):
    instructions = heavy.engine(architecture)
    assert len(instructions) <= 4096
    for at, instruction in enumerate(instructions):
        if instruction.code in (0x15, 0x35, 0x45):
            assert at + 1 + max(instruction.if_true, instruction.if_false) < len(instructions)
    assert instructions[-1] == filters.result(filters.KILL)
