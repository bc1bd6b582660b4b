"""A parked child: puts on the inner lock, then serves one request (isolated) or several (warm).

Nearly all of a run's overhead is page faults: each page that a fresh child touches is copied or mapped anew, 2 to 5
us apiece in a virtual machine. So the zygote does beforehand whatever it can (it maps the arenas, makes the views,
warms this code), and what is left for the child is one straight line.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any, Final, NoReturn

from orjson import dumps, loads

from penstock_guest import calls, lock, wire
from penstock_guest.calls import dup3, getpid, getppid, read, write
from penstock_guest.failures import OutputFull
from penstock_guest.lock import go_through
from penstock_guest.wire import BEHIND, MESSAGE_BYTES_MAX

if TYPE_CHECKING:
    from penstock_guest.programs import Program

DESCRIPTORS_MAX: Final = 2**20
_CLOEXEC: Final = os.O_CLOEXEC
# Young-generation passes are rare: a chunk's records live for one call each, and the process ends with the chunk.
GC_THRESHOLD: Final = (50_000, 20, 50)

_MADVISE = ctypes.CDLL(None).madvise
_MADVISE.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
# Source: include/uapi/asm-generic/mman-common.h.
_PROT_NONE, _PROT_READ, _PROT_WRITE = 0, 1, 2
_MAP_SHARED, _MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS, _MAP_NORESERVE = 1, 2, 0x10, 0x20, 0x4000
_MADV_DONTNEED = 4
_MADV_POPULATE_READ, _MADV_POPULATE_WRITE = 22, 23  # since Linux 5.14; refused before, which costs only time
_POPULATE_FROM_BYTES = 65_536


class Arena:
    """A fixed address range of a zygote, where the memory of one child after another is mapped just before the fork."""

    def __init__(self, size_bytes: int, *, writable: bool) -> None:
        self.size_bytes = size_bytes
        self._protection = _PROT_READ | (_PROT_WRITE if writable else 0)
        self._advice = _MADV_POPULATE_WRITE if writable else _MADV_POPULATE_READ
        self._size = ctypes.c_size_t(size_bytes)
        self._address = self._map(None, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE, -1)
        self._place = ctypes.c_void_p(self._address)
        self.memory = memoryview((ctypes.c_char * size_bytes).from_address(self._address)).cast("B")

    def show(self, fd: int) -> None:
        """Map the memory behind fd here, in place of what was mapped before."""
        self._map(self._place, self._protection, _MAP_SHARED | _MAP_FIXED, fd)

    def populate(self, size_bytes: int) -> None:
        """Map the first pages in one call, which a child would otherwise fault in one by one."""
        if size_bytes >= _POPULATE_FROM_BYTES:
            _MADVISE(self._address, min(size_bytes, self.size_bytes), self._advice)

    def _map(self, place: ctypes.c_void_p | None, protection: int, flags: int, fd: int) -> int:
        mapped: int = calls.mmap(place, self._size, protection, flags, fd, 0)
        if mapped == -1:
            raise OSError(f"cannot map an arena of {self.size_bytes} bytes: {calls.failure()}")
        return mapped


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

    def reserve(self, size_bytes: int) -> memoryview:
        """Return memory for the next so many bytes, or raise OutputFull when the arena has no room for them."""
        start, self.size_bytes = self.size_bytes, self.size_bytes + size_bytes
        if self.size_bytes > len(self._body):
            raise OutputFull(len(self._body))
        return self._body[start : self.size_bytes]


class Nest:
    """What a version zygote prepares once for all its children: program, arenas, filter and limits.

    What is called here has a name of this module: to look it up in another one is to write to that one's page.
    """

    def __init__(self, program: Program, spec: dict[str, Any], inner: lock.Filter) -> None:
        self._program = program
        self._warm = spec["warm"]
        self._inner = inner  # its memory is what the last of the calls points to
        self._closing = lock.closing_calls()
        self._steps = [*lock.death_calls(), *self._closing, *lock.limit_calls(cpu_s=spec["cpu_s"]), *inner.calls]
        self.input = Arena(spec["input_bytes"], writable=False)
        self.output = Arena(spec["output_bytes"] + wire.HEADER_BYTES, writable=True)
        self._given = self.input.memory
        self._output = Output(self.output.memory, records_bytes_max=spec["records_bytes"])
        pid, message = calls.Buffer(4), calls.Buffer(wire.MESSAGE_BYTES_MAX)
        run, park = program.run, program.park
        self._at_hand = getpid(), pid.view.cast("i"), pid.memory, park, run, message.memory, message.view

    def serve(self, channel: int, input_bytes: int, output_bytes: int) -> NoReturn:
        """Lock this forked process, say that it is parked, and answer requests until it is used up. Never returns.

        Args:
            channel: to the service; it becomes descriptor 0, and the only one.
            input_bytes: how much of the input to map ahead.
            output_bytes: the same of the output.
        """
        try:
            dup3(channel, 0, _CLOEXEC)
            if not self._closing:
                os.closerange(1, DESCRIPTORS_MAX)
            go_through(self._steps)
            zygote, pid, word, park, run, message, view = self._at_hand
            if getppid() != zygote:  # it died before the kernel was asked to tell
                os._exit(0)
            if input_bytes >= _POPULATE_FROM_BYTES:
                self.input.populate(input_bytes)
            if output_bytes >= _POPULATE_FROM_BYTES:
                self.output.populate(output_bytes)
            output, given = self._output, self._given
            pid[0] = getpid()
            write(0, word, 4)
            park(output)
            while (size_bytes := read(0, message, MESSAGE_BYTES_MAX)) > 0:
                output.size_bytes = 0
                request = loads(view[:size_bytes])
                if BEHIND in request:
                    start, size_bytes = request[BEHIND]
                    request = loads(given[start : start + size_bytes])
                answer = dumps(run(request, given, output))
                if len(answer) > MESSAGE_BYTES_MAX:
                    answer = self._behind(answer)
                write(0, answer, len(answer))
                if not self._warm:
                    break
        except BaseException as error:  # noqa: BLE001  # the door of this process; tenant errors were caught long before
            os.write(0, dumps({"bug": bug_words(error)}))
        finally:
            os._exit(0)

    def _behind(self, answer: bytes) -> bytes:
        start = self._output.size_bytes
        self._output.write(answer)
        return dumps({wire.BEHIND: [start, len(answer)]})


def bug_words(error: BaseException) -> str:
    """Return the type of an unexpected exception and where it was raised; no values."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    place = (
        f"{os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno}" if traceback else "unknown"
    )
    return f"{type(error).__name__} at {place}"
