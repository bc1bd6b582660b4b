"""A parked child: puts on the inner lock, then serves one request (isolated) or several (warm).

Nearly all of a run's overhead is page faults: each page that a fresh child touches is copied or mapped anew, 2 to 5
us apiece in a virtual machine. So the zygote does beforehand whatever it can (it maps the arenas, makes the views,
warms this code), and what is left for the child is one straight line.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any, Final, NoReturn

import orjson

from penstock_guest import lock, wire
from penstock_guest.failures import OutputFull

if TYPE_CHECKING:
    from penstock_guest.programs import Program

DESCRIPTORS_MAX: Final = 2**20
# Young-generation passes are rare: a chunk's records live for one call each, and the process ends with the chunk.
GC_THRESHOLD: Final = (50_000, 20, 50)

_LIBC = ctypes.CDLL(None, use_errno=True)
_MMAP = _LIBC.mmap
_MMAP.restype = ctypes.c_void_p
_MMAP.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_MADVISE = _LIBC.madvise
_MADVISE.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
# Source: include/uapi/asm-generic/mman-common.h.
_PROT_NONE, _PROT_READ, _PROT_WRITE = 0, 1, 2
_MAP_SHARED, _MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS, _MAP_NORESERVE = 1, 2, 0x10, 0x20, 0x4000
_MAP_FAILED = 2**64 - 1
_MADV_DONTNEED = 4
_MADV_POPULATE_READ, _MADV_POPULATE_WRITE = 22, 23  # since Linux 5.14; refused before, which costs only time
_POPULATE_FROM_BYTES = 65_536


class Arena:
    """A fixed address range of a zygote, where the memory of one child after another is mapped just before the fork."""

    def __init__(self, size_bytes: int, *, writable: bool) -> None:
        self.size_bytes = size_bytes
        self._protection = _PROT_READ | (_PROT_WRITE if writable else 0)
        self._advice = _MADV_POPULATE_WRITE if writable else _MADV_POPULATE_READ
        self._address = self._map(None, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE, -1)
        self.memory = memoryview((ctypes.c_char * size_bytes).from_address(self._address)).cast("B")

    def show(self, fd: int) -> None:
        """Map the memory behind fd here, in place of what was mapped before."""
        self._map(self._address, self._protection, _MAP_SHARED | _MAP_FIXED, fd)

    def populate(self, size_bytes: int) -> None:
        """Map the first pages in one call, which a child would otherwise fault in one by one."""
        if size_bytes >= _POPULATE_FROM_BYTES:
            _MADVISE(self._address, min(size_bytes, self.size_bytes), self._advice)

    def _map(self, address: int | None, protection: int, flags: int, fd: int) -> int:
        mapped = _MMAP(address, self.size_bytes, protection, flags, fd, 0)
        if mapped == _MAP_FAILED:
            raise OSError(ctypes.get_errno(), f"cannot map an arena of {self.size_bytes} bytes")
        return int(mapped)


def leave(mapped: memoryview) -> None:
    """Give up whole pages of a mapped file that have been read; looking at them again would bring them back."""
    _MADVISE(ctypes.addressof(ctypes.c_char.from_buffer(mapped)), len(mapped), _MADV_DONTNEED)


class Output:
    """The output arena as a program sees it: how far the run has come, then what is written, in order."""

    def __init__(self, memory: memoryview, *, records_bytes_max: int) -> None:
        self.records_bytes_max = records_bytes_max  # of output records; there is room for their dead letters besides
        self.mark = memory[:16].cast("Q")  # see wire.Mark
        self._body = memory[wire.HEADER_BYTES :]
        self.size_bytes = 0

    def reset(self) -> None:
        """Forget what was written, and that anything had begun."""
        self.size_bytes = self.mark[0] = self.mark[1] = 0

    def write(self, data: bytes) -> None:
        """Append data, or raise OutputFull when the arena cannot take it."""
        end = self.size_bytes + len(data)
        if end > len(self._body):
            raise OutputFull(len(self._body))
        self._body[self.size_bytes : end] = data
        self.size_bytes = end


class Nest:
    """What a version zygote prepares once for all its children: program, arenas, filter and limits."""

    def __init__(self, program: Program, spec: dict[str, Any], inner: lock.Filter) -> None:
        self._program = program
        self._inner = inner
        self._cpu_s = spec["cpu_s"]
        self._warm = spec["warm"]
        self.input = Arena(spec["input_bytes"], writable=False)
        self.output = Arena(spec["output_bytes"] + wire.HEADER_BYTES, writable=True)
        self._given = self.input.memory
        self._output = Output(self.output.memory, records_bytes_max=spec["records_bytes"])

    def serve(self, request: dict[str, Any], channel: int) -> NoReturn:
        """Lock this forked process, say that it is parked, and answer requests until it is used up. Never returns."""
        try:
            lock.die_with_parent()
            os.dup2(channel, 0, inheritable=False)
            os.closerange(1, DESCRIPTORS_MAX)
            lock.limit_child(cpu_s=self._cpu_s)
            self._inner.install()
            self.input.populate(request["input_bytes"])
            self.output.populate(request["output_bytes"])
            os.write(0, b"%d" % os.getpid())
            self._program.park(self._output)
            while message := os.read(0, wire.MESSAGE_BYTES_MAX):
                self._output.size_bytes = 0
                self._answer(self._program.run(self._request(message), self._given, self._output))
                if not self._warm:
                    break
        except BaseException as error:  # noqa: BLE001  # the door of this process; tenant errors were caught long before
            os.write(0, orjson.dumps({"bug": bug_words(error)}))
        finally:
            os._exit(0)

    def _request(self, message: bytes) -> dict[str, Any]:
        request: dict[str, Any] = orjson.loads(message)
        if wire.BEHIND in request:
            start, size_bytes = request[wire.BEHIND]
            request = orjson.loads(self._given[start : start + size_bytes])
        return request

    def _answer(self, reply: dict[str, Any]) -> None:
        message = orjson.dumps(reply)
        if len(message) > wire.MESSAGE_BYTES_MAX:
            start = self._output.size_bytes
            self._output.write(message)
            message = orjson.dumps({wire.BEHIND: [start, len(message)]})
        os.write(0, message)


def bug_words(error: BaseException) -> str:
    """Return the type of an unexpected exception and where it was raised; no values."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    place = (
        f"{os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno}" if traceback else "unknown"
    )
    return f"{type(error).__name__} at {place}"
