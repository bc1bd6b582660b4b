"""Arenas: the shared memory through which bytes go into a child and come out of it."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

from penstock_guest import wire

_BLANK: Final = memoryview(bytes(256 * 1024))
_F_ADD_SEALS, _SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW = 1033, 1, 2, 4  # source: include/uapi/linux/fcntl.h


class Arena:
    """A block of memory with a descriptor; its size is sealed, its pages come as they are used.

    Args:
        name: for those who look at the process from outside.
        size_bytes: for good.
        writable: whether who gets the descriptor may write.

    Attributes:
        fd: for a child.
    """

    def __init__(self, name: str, size_bytes: int, *, writable: bool) -> None:
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size_bytes)
        # Nobody can shrink it under the reader's feet, whatever a child does with its mapping.
        fcntl.fcntl(fd, _F_ADD_SEALS, _SEAL_SEAL | _SEAL_SHRINK | _SEAL_GROW)
        self._memory = mmap.mmap(fd, size_bytes)
        self.fd = fd if writable else _for_reading(fd)
        self.size_bytes = size_bytes
        self.used_bytes = 0

    def fill(self, data: bytes) -> None:
        """Put data at the start, and blank out what a longer one before has left behind it."""
        size = len(data)
        self._memory[:size] = data
        self._blank(size, self.used_bytes)
        self.used_bytes = size

    def take(self, start: int, end: int) -> bytes:
        """Return a copy of a part; what is copied can no longer be changed by the child."""
        self.used_bytes = max(self.used_bytes, end)
        return self._memory[start:end]

    def take_behind(self, start: int, size_bytes: int) -> bytes:
        """Return a copy of a message that was too long for the channel.

        Raises:
            ValueError: when it does not lie where it is said to lie, or is longer than any message is.
        """
        first = wire.HEADER_BYTES + start
        if start < 0 or not 0 <= size_bytes <= wire.BEHIND_BYTES_MAX or first + size_bytes > self.size_bytes:
            raise ValueError("no message lies there")
        return self.take(first, first + size_bytes)

    def scrub(self) -> None:
        """Make sure that the next child sees nothing of this one's output, wherever it was written."""
        end = _page_end(self.used_bytes)  # what lies behind the reported end in its last page goes too
        self._blank(0, end)
        if os.fstat(self.fd).st_blocks * 512 > end:
            self._memory.madvise(mmap.MADV_REMOVE, end, self.size_bytes - end)

    def _blank(self, start: int, end: int) -> None:
        for at in range(start, end, len(_BLANK)):  # a block that stays in the cache: as much new memory costs more
            stop = min(at + len(_BLANK), end)
            self._memory[at:stop] = _BLANK[: stop - at]

    def mark(self) -> wire.Mark:
        """Return how far the child had come when it last said so."""
        return wire.Mark(*(int.from_bytes(self._memory[at : at + 8], "little") for at in (0, 8)))

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        os.close(self.fd)


def _for_reading(fd: int) -> int:
    """Return a descriptor in place of one whose mappings nobody can make writable."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)


def _page_end(size_bytes: int) -> int:
    return -(-size_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
