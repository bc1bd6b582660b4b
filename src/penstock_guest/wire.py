"""The protocol between the service and its zygotes and children; with the profiles, all that both sides import.

Messages are JSON datagrams on SOCK_SEQPACKET sockets. Bulk data never travels in them: it lies in arenas, shared
memory that the service owns, that one child sees from the moment it is parked, and nobody else:

    input arena    read-only for the child; memory of the service, or the user's input file itself
    output arena   one page of header, then what the child wrote

A message that is too long for the channel lies in the arena too, behind the data; what is sent then is where.

The header says how far the child has come, so that one that dies without a word still names the record that killed it.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

HEADER_BYTES: Final = 4096
MESSAGE_BYTES_MAX: Final = 65_536
BEHIND: Final = "behind"  # the only key of a message that says [start, size] of the real one
BEHIND_BYTES_MAX: Final = 16 * 2**20


# What a version zygote is asked for: the seat to park a child in, with channel, input and output as descriptors; the
# seat whose child is to be waited for; -1 for neither; and how many bytes of input and output to map ahead.
TURN: Final = struct.Struct("=qqqq")
# What it answers when that child has ended: the seat, the status, and `struct rusage`, of which the user and the system
# time are used, in seconds and microseconds.
END: Final = struct.Struct("=qi4xqqqq")
END_BYTES: Final = 16 + 144


class Mark(NamedTuple):
    """The header of an output arena, two 64-bit words: the phase, and the record in work while in RECORDS."""

    phase: int
    record: int


# Phases of a run. Blank memory is STARTING: the script's top level has not returned.
STARTING: Final = 0
RECORDS: Final = 1
WHOLE_CHUNK: Final = 2

# The whole environment of a base zygote. malloc asks for huge pages (a first touch then costs 0.15 us instead of 2.3
# us per 4 KiB), keeps what it once had, and takes pyarrow's buffers too; libraries are told to start no threads. The
# hash seed is fixed so that the same script on the same data gives the same bytes.
ENVIRONMENT: Final = {
    "GLIBC_TUNABLES": (
        "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:"
        "glibc.malloc.trim_threshold=1073741824:glibc.malloc.top_pad=8388608"
    ),
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
