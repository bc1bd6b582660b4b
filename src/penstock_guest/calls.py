"""Calls of libc that a zygote and its children make on every run, ready to be made.

A parked child pays some 2 us for each page that it is the first to write to, and to call a function of the standard
library writes to many: CPython counts references inside the names, functions and modules on the way. These are called
through one path instead, with buffers that the zygote has made, and keep the interpreter's lock: there is one thread.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any, Final

_LIBC: Final = ctypes.PyDLL(None)

dup3: Final = _LIBC.dup3
fork: Final = _LIBC.fork
getpid: Final = _LIBC.getpid
getppid: Final = _LIBC.getppid
read: Final = _LIBC.read
recvmsg: Final = _LIBC.recvmsg
wait4: Final = _LIBC.wait4
write: Final = _LIBC.write
mmap: Final = _LIBC.mmap
mmap.restype = ctypes.c_long  # so that a failure is -1
syscall: Final = _LIBC.syscall
syscall.restype = ctypes.c_long
_errno_location: Final = _LIBC["__errno_location"]
_errno_location.restype = ctypes.c_void_p

_ALIGNED: Final = 8


def failure() -> str:
    """Return why the last call failed."""
    return os.strerror(ctypes.c_int.from_address(_errno_location()).value)


class Buffer:
    """Memory at a fixed place, for calls and for Python at once."""

    def __init__(self, size_bytes: int) -> None:
        self.memory: Any = ctypes.create_string_buffer(size_bytes)
        self.view = memoryview(self.memory).cast("B")
        self.size_bytes = size_bytes

    def at(self, offset: int) -> Any:
        """Return a place in it, as an argument of a call."""
        return ctypes.c_void_p(ctypes.addressof(self.memory) + offset)


class Inbox:
    """Receives messages of one size with up to a few descriptors, into the same memory each time.

    Attributes:
        receive: waits for the next message; false when there will be none.
        words: the message, as 64-bit numbers.
        fds: the descriptors that came with it; those of earlier messages stay behind them.
    """

    def __init__(self, *, words: int, fds: int) -> None:
        # Source: struct msghdr and struct cmsghdr of 64-bit Linux.
        self._data = Buffer(8 * words)
        self._ancillary = Buffer(16 + -(-4 * fds // _ALIGNED) * _ALIGNED)
        part = Buffer(16)
        part.view[:] = struct.pack("PN", ctypes.addressof(self._data.memory), self._data.size_bytes)
        header = Buffer(56)
        places = ctypes.addressof(part.memory), 1, ctypes.addressof(self._ancillary.memory), self._ancillary.size_bytes
        header.view[:] = struct.pack("PI4xPNPNi4x", 0, 0, *places, 0)
        self._part = part  # the header points to it
        numbers = header.view.cast("L")
        ready, room_bytes = header.memory, self._ancillary.size_bytes

        def receive() -> bool:
            """Wait for the next message; False when there will be none."""
            numbers[_ANCILLARY_SIZE] = room_bytes
            return bool(recvmsg(0, ready, 0) > 0)

        self.receive = receive
        self.words = self._data.view.cast("q")
        self.fds = self._ancillary.view[16:].cast("i")


_ANCILLARY_SIZE: Final = 5  # word of struct msghdr
