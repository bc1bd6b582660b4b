"""The seccomp programs decide as they should: run here, instruction by instruction, for both architectures."""

import struct

import pytest

from penstock_guest import filters
from penstock_guest.syscalls import ARCHITECTURES, CHILD, REFUSED, ZYGOTE, numbers

ALLOW, KILL, EPERM, ENOSYS = filters.ALLOW, filters.KILL, filters.EPERM, filters.ENOSYS
WORDS = {ALLOW: "allow", KILL: "kill", EPERM: "EPERM", ENOSYS: "ENOSYS"}
EVERY = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda each: each.name)
HIGH = 2**32  # a bit that a comparison of 32 bits would not see


def run(code, data):
    """Interpret a classic BPF program over a `struct seccomp_data`, as the kernel would."""
    instructions = list(struct.iter_unpack("=HBBI", code))
    at = accumulator = 0
    while True:
        operation, if_true, if_false, value = instructions[at]
        at += 1
        if operation == 0x06:
            return value
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
            continue
        compare = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}
        at += if_true if compare[operation] else if_false


def decided(program, number, *arguments, audit):
    """What a program says of a system call."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number - 2**32 if number >= 2**31 else number, audit, 0, *padded)
    return WORDS[run(filters.assemble(program), data)]


def outer(architecture, name, *arguments):
    """What a zygote's filter says."""
    table = {**numbers(CHILD, architecture), **numbers(ZYGOTE, architecture), **numbers(REFUSED, architecture)}
    return decided(filters.outer(architecture), table[name], *arguments, audit=architecture.audit)


def child(architecture, name, *arguments):
    """What a child's two filters say together: the stricter wins, as in the kernel."""
    table = {**numbers(CHILD, architecture), **numbers(ZYGOTE, architecture), **numbers(REFUSED, architecture)}
    both = {
        decided(program(architecture), table[name], *arguments, audit=architecture.audit)
        for program in (filters.outer, filters.inner)
    }
    return next(word for word in ("kill", "EPERM", "ENOSYS", "allow") if word in both)


@EVERY
def test_a_child_may_do_what_a_running_script_needs(architecture):
    plain = list(numbers(CHILD, architecture))
    assert {name: child(architecture, name) for name in plain} == dict.fromkeys(plain, "allow")


@EVERY
def test_what_python_may_stumble_into_is_refused_with_an_errno(architecture):
    refused = {name: child(architecture, name) for name in numbers(REFUSED, architecture)}
    assert {name: word for name, word in refused.items() if word != "EPERM"} == {"clone3": "ENOSYS"}


@EVERY
def test_whatever_no_table_names_kills(architecture):
    named = {number for table in (CHILD, ZYGOTE, REFUSED) for number in numbers(table, architecture).values()}
    program = filters.outer(architecture)
    for number in [*range(600), 1023, 1024, 2**30 - 1, 2**31 - 1, 2**31, 2**32 - 1]:
        if number not in named:
            assert decided(program, number, audit=architecture.audit) == "kill", number


@EVERY
@pytest.mark.parametrize("program", [filters.outer, filters.inner], ids=["outer", "inner"])
def test_a_call_in_another_architectures_numbers_kills(architecture, program):
    """As `int 0x80` makes on x86_64, where read has the number of exit elsewhere."""
    i386, arm, other = 0x4000_0003, 0x4000_0028, next(a.audit for a in ARCHITECTURES.values() if a != architecture)
    for audit in (i386, arm, other, 0):
        for number in range(50):
            assert decided(program(architecture), number, audit=audit) == "kill"


@pytest.mark.parametrize("program", [filters.outer, filters.inner], ids=["outer", "inner"])
def test_a_call_by_the_x32_door_kills(program):
    """On x86_64, every number with this bit set is a second way to the same calls."""
    architecture = ARCHITECTURES["x86_64"]
    for number in numbers(CHILD, architecture).values():
        assert decided(program(architecture), number | 0x4000_0000, audit=architecture.audit) == "kill"


@EVERY
@pytest.mark.parametrize("name", ["mmap", "mprotect"])
@pytest.mark.parametrize(
    ("protection", "word"), [(0, "allow"), (1, "allow"), (3, "allow"), (4, "EPERM"), (5, "EPERM"), (7, "EPERM")]
)
def test_no_memory_can_be_made_executable(architecture, name, protection, word):
    private = 2
    assert child(architecture, name, 0, 4096, protection, private) == word
    assert child(architecture, name, 0, 4096, protection | HIGH, private | HIGH) == word


@EVERY
@pytest.mark.parametrize(
    ("flags", "zygote_word", "child_word"),
    [
        (0x22, "allow", "allow"),  # MAP_PRIVATE | MAP_ANONYMOUS
        (0x02, "allow", "allow"),
        (0x01, "allow", "EPERM"),  # MAP_SHARED
        (0x03, "allow", "EPERM"),  # MAP_SHARED_VALIDATE
        (0x21, "allow", "EPERM"),
        (0x32, "allow", "allow"),  # MAP_FIXED
        (0x4022, "allow", "allow"),  # MAP_NORESERVE
        (0x2_0022, "allow", "allow"),  # MAP_STACK
        (0x10_0022, "allow", "allow"),  # MAP_FIXED_NOREPLACE
        (0x122, "EPERM", "EPERM"),  # MAP_GROWSDOWN
        (0x2022, "EPERM", "EPERM"),  # MAP_LOCKED
        (0x62, "EPERM", "EPERM"),  # MAP_32BIT
        (0x28, "EPERM", "EPERM"),  # MAP_DROPPABLE
        (0x4_0022, "EPERM", "EPERM"),  # MAP_HUGETLB
        (0x8_0003, "EPERM", "EPERM"),  # MAP_SYNC
        (0x8000_0022, "EPERM", "EPERM"),  # what there is not yet
    ],
)
def test_memory_is_mapped_plainly_and_shared_by_a_zygote_only(architecture, flags, zygote_word, child_word):
    assert outer(architecture, "mmap", 0, 4096, 3, flags) == zygote_word
    assert child(architecture, "mmap", 0, 4096, 3, flags) == child_word
    assert child(architecture, "mmap", 0, 4096, 3, flags | HIGH) == child_word


FORK = 0x0120_0011
THREAD = 0x003D_0F00


@EVERY
@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (FORK, "allow"),
        (THREAD, "EPERM"),
        (0x11, "EPERM"),  # a plain fork without what glibc's asks for
        (FORK | 0x1000_0000, "EPERM"),  # CLONE_NEWUSER
        (FORK | 0x0000_0100, "EPERM"),  # CLONE_VM
        (FORK | HIGH, "EPERM"),  # CLONE_CLEAR_SIGHAND
    ],
)
def test_a_zygote_forks_and_makes_neither_threads_nor_namespaces(architecture, flags, word):
    assert outer(architecture, "clone", flags) == word


@EVERY
@pytest.mark.parametrize("flags", [FORK, THREAD, 0x11, 0])
def test_a_child_makes_no_process_at_all(architecture, flags):
    assert child(architecture, "clone", flags) == "EPERM"
    assert child(architecture, "clone3") == "ENOSYS"


@EVERY
@pytest.mark.parametrize(
    ("option", "word"), [(1, "allow"), (4, "kill"), (15, "kill"), (22, "kill"), (1 | HIGH, "kill")]
)
def test_a_zygote_asks_the_kernel_for_its_parents_death_only(architecture, option, word):
    """PR_SET_PDEATHSIG it may; PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_SECCOMP it may not."""
    assert outer(architecture, "prctl", option) == word
    assert child(architecture, "prctl", option) == "kill"


@EVERY
def test_a_zygote_changes_no_limits_but_its_own(architecture):
    assert outer(architecture, "prlimit64", 0) == "allow"
    assert outer(architecture, "prlimit64", 4711) == "EPERM"
    assert child(architecture, "prlimit64", 0) == "kill"


@EVERY
@pytest.mark.parametrize(
    ("advice", "word"),
    [*((each, "allow") for each in (4, 14, 22, 23)), *((each, "EPERM") for each in (9, 10, 21, 100))],
)
def test_advice_that_is_not_needed_is_refused(architecture, advice, word):
    """MADV_DONTNEED and its like are allowed; MADV_REMOVE, DONTFORK, HWPOISON and PAGEOUT are not."""
    assert child(architecture, "madvise", 0, 4096, advice) == word


@EVERY
@pytest.mark.parametrize("advice", [12, 12 | HIGH])
def test_no_pages_are_merged_with_those_of_other_processes(architecture, advice):
    assert child(architecture, "madvise", 0, 4096, advice) == "EPERM"


PRIVATE, BY_THE_CLOCK = 128, 256


@EVERY
@pytest.mark.parametrize("flags", [0, PRIVATE])
@pytest.mark.parametrize("operation", [0, 1, 9, 10, 9 | BY_THE_CLOCK])
def test_a_lock_waits_and_wakes(architecture, operation, flags):
    assert child(architecture, "futex", 0, operation | flags) == "allow"


@EVERY
@pytest.mark.parametrize("operation", [2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 255])
@pytest.mark.parametrize("flags", [0, PRIVATE, PRIVATE | BY_THE_CLOCK])
def test_a_lock_does_nothing_else(architecture, operation, flags):
    """Neither moves waiters (FUTEX_REQUEUE and its like) nor lends priority (the _PI ones)."""
    assert child(architecture, "futex", 0, operation | flags) == "EPERM"


@EVERY
@pytest.mark.parametrize("name", ["seccomp", "close_range", "dup3", "set_robust_list", "rseq"])
def test_a_child_loses_what_only_its_zygote_needed(architecture, name):
    assert outer(architecture, name) == "allow"
    assert child(architecture, name) == "kill"


@EVERY
@pytest.mark.parametrize("name", ["wait4", "recvmsg"])
def test_a_child_neither_reaps_nor_receives_descriptors(architecture, name):
    assert outer(architecture, name) == "allow"
    assert child(architecture, name) == "EPERM"


@EVERY
@pytest.mark.parametrize("program", [filters.outer, filters.inner], ids=["outer", "inner"])
def test_every_jump_lands_inside_and_every_path_ends(architecture, program):
    """The kernel would refuse the program otherwise; jumps of classic BPF go forward only, up to 255."""
    instructions = program(architecture)
    for at, instruction in enumerate(instructions):
        if instruction.code in (0x15, 0x35, 0x45):
            assert max(instruction.if_true, instruction.if_false) <= 255
            assert at + 1 + max(instruction.if_true, instruction.if_false) < len(instructions)
    assert instructions[-1].code == 0x06
