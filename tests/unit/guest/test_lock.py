"""The system-call tables of the lock say what the kernel says, on both architectures."""

import ctypes
import itertools
import os
import re
import struct
import subprocess
import sys

import pytest

from penstock_guest import filters, lock, syscalls

TABLES = {"child": syscalls.CHILD, "zygote": syscalls.ZYGOTE, "refused": syscalls.REFUSED}
ENTRIES = [entry for table in TABLES.values() for entry in table.split()]
# Source: include/uapi/linux/audit.h, as libseccomp has them.
TOKENS = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}


@pytest.fixture(scope="module")
def libseccomp():
    """The library that knows every number on every architecture."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp.so.2 is not installed")
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    return library


@pytest.mark.parametrize("architecture", syscalls.ARCHITECTURES.values(), ids=lambda each: each.name)
@pytest.mark.parametrize("table", TABLES)
def test_every_number_is_the_kernels(libseccomp, table, architecture):
    """A negative answer means that the architecture has no such call."""
    wrong = {}
    for entry in TABLES[table].split():
        name, ours = entry.split(":")[0], entry.split(":")[1 + architecture.column]
        theirs = libseccomp.seccomp_syscall_resolve_name_arch(TOKENS[architecture.name], name.encode())
        if (ours == "-") != (theirs < 0) or (ours != "-" and int(ours) != theirs):
            wrong[name] = (ours, theirs)
    assert wrong == {}


def test_an_entry_is_a_name_and_a_number_for_each_architecture():
    assert [entry for entry in ENTRIES if not re.fullmatch(r"[a-z0-9_]+:\d+:(\d+|-)", entry)] == []


@pytest.mark.parametrize("architecture", syscalls.ARCHITECTURES.values(), ids=lambda each: each.name)
def test_no_call_has_two_rules(architecture):
    numbers = [list(syscalls.numbers(table, architecture).values()) for table in TABLES.values()]
    every = list(itertools.chain(*numbers))
    assert sorted(set(every)) == sorted(every)


@pytest.mark.parametrize("architecture", syscalls.ARCHITECTURES.values(), ids=lambda each: each.name)
def test_audit_values_are_those_of_the_kernel(architecture):
    assert architecture.audit == TOKENS[architecture.name]


def test_calls_that_an_architecture_lacks_are_left_out():
    assert "open" in syscalls.numbers(syscalls.REFUSED, syscalls.ARCHITECTURES["x86_64"])
    assert "open" not in syscalls.numbers(syscalls.REFUSED, syscalls.ARCHITECTURES["aarch64"])


def test_this_machine_is_known_by_its_name(monkeypatch):
    machine = os.uname()
    for name, known in (("aarch64", True), ("x86_64", True), ("riscv64", False)):
        monkeypatch.setattr(os, "uname", lambda name=name: os.uname_result((*machine[:4], name)))
        found = syscalls.this_machine()
        assert (found is not None and found.name == name) is known


def test_a_machine_without_a_table_is_not_locked_at_all(monkeypatch):
    """Half a lock would look like one."""
    monkeypatch.setattr(syscalls, "this_machine", lambda: None)
    with pytest.raises(lock.LockError, match=r"no system-call table for machine .*; valid: x86_64, aarch64"):
        lock.lock_process()


def test_a_program_is_eight_bytes_an_instruction_as_the_kernel_reads_them():
    program = [filters.Instruction(0x15, 1, 2, 0xC000_003E), filters.Instruction(6, 0, 0, 0x7FFF_0000)]
    assert filters.assemble(program) == struct.pack("=HBBIHBBI", 0x15, 1, 2, 0xC000_003E, 6, 0, 0, 0x7FFF_0000)


@pytest.mark.parametrize("architecture", syscalls.ARCHITECTURES.values(), ids=lambda each: each.name)
def test_the_kernel_takes_no_longer_programs(architecture):
    """Source: BPF_MAXINSNS in include/uapi/linux/bpf_common.h."""
    assert len(filters.outer(architecture)) <= 4096
    assert len(filters.inner(architecture)) < 64  # each costs time in every child


@pytest.mark.parametrize(("parent", "said"), [("os.getppid()", "goes on"), ("os.getppid() + 1", "")])
def test_a_process_whose_parent_has_died_before_it_could_ask_to_be_told_ends(parent, said):
    code = f"import os; from penstock_guest import lock; lock.die_with({parent}); print('goes on', end='')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == said
