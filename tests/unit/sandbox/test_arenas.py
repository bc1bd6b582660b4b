"""Arenas: shared memory in which nothing of one child is left for the next."""

import fcntl
import mmap
import os

import pytest

from penstock.sandbox.arenas import Arena

PAGE = mmap.PAGESIZE


@pytest.fixture
def arena():
    made = Arena("test", 64 * PAGE, writable=True)
    yield made
    made.close()


@pytest.fixture
def child(arena):
    """The arena as a child maps it."""
    with mmap.mmap(arena.fd, arena.size_bytes) as mapped:
        yield mapped


def test_a_child_sees_what_was_filled_in(arena, child):
    arena.fill(b"a chunk")
    assert child[:8] == b"a chunk\0"


def test_a_shorter_filling_leaves_nothing_of_a_longer_one(arena, child):
    arena.fill(b"x" * 3 * PAGE)
    arena.fill(b"short")
    assert child[: 4 * PAGE].rstrip(b"\0") == b"short"


def test_what_was_taken_does_not_change_any_more(arena, child):
    child[:5] = b"first"
    taken = arena.take(0, 5)
    child[:5] = b"later"
    assert taken == b"first"


def test_scrubbing_blanks_what_was_taken(arena, child):
    child[: 2 * PAGE] = b"x" * 2 * PAGE
    arena.take(10, 2 * PAGE)
    arena.scrub()
    assert child[:] == bytes(arena.size_bytes)


def test_scrubbing_blanks_what_was_written_where_nobody_looked(arena, child):
    """A child may report one byte and have written anywhere: right behind it, or far off."""
    for place in (0, 1, PAGE - 1, PAGE, 63 * PAGE):
        child[place] = 7
    arena.take(0, 1)
    arena.scrub()
    assert child[:] == bytes(arena.size_bytes)


def test_scrubbing_blanks_what_a_child_left_that_reported_nothing(arena, child):
    child[PAGE : 2 * PAGE] = b"x" * PAGE
    arena.scrub()
    assert child[:] == bytes(arena.size_bytes)


def test_scrubbing_gives_back_the_memory_that_was_not_reported(arena, child):
    child[:] = b"x" * arena.size_bytes
    arena.take(0, 10)
    arena.scrub()
    assert os.fstat(arena.fd).st_blocks * 512 == PAGE


def test_scrubbing_keeps_the_memory_that_was_reported(arena, child):
    """The next child will need it, and to map it anew costs time."""
    child[: 4 * PAGE] = b"x" * 4 * PAGE
    arena.take(0, 4 * PAGE)
    arena.scrub()
    assert os.fstat(arena.fd).st_blocks * 512 == 4 * PAGE


@pytest.mark.parametrize("size_bytes", [0, PAGE, 1000 * PAGE])
def test_nobody_can_change_its_size(arena, size_bytes):
    """The service would die of SIGBUS if a child could cut it short."""
    with pytest.raises(PermissionError):
        os.ftruncate(arena.fd, size_bytes)


def test_nobody_can_take_the_seals_off(arena):
    with pytest.raises(PermissionError):
        fcntl.fcntl(arena.fd, fcntl.F_ADD_SEALS, 0x8)


def test_the_mark_says_how_far_a_child_had_come(arena, child):
    child[:16] = (1).to_bytes(8, "little") + (4711).to_bytes(8, "little")
    assert arena.mark() == (1, 4711)


def test_a_blank_arena_says_that_nothing_has_begun(arena):
    assert arena.mark() == (0, 0)


def test_a_new_arena_takes_no_memory(arena):
    assert os.fstat(arena.fd).st_blocks == 0
