"""A process for attacks to harm: the child's user, with a secret in memory, environment, arguments and a file.

`python -I -S victim.py UID SECRET`: prints where the secret lies, and goes when its input ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

_SET_DUMPABLE, _SET_PTRACER = 4, 0x59616D61


def main() -> None:
    """Become the user, show where the secret is, and wait for the end."""
    uid, secret = int(sys.argv[1]), sys.argv[2].encode()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0)
    libc.prctl(_SET_PTRACER, ctypes.c_long(-1), 0, 0, 0)  # where Yama asks whom a process lets trace it: anybody
    memory = ctypes.create_string_buffer(secret)
    held = os.memfd_create("secret")
    os.write(held, secret)
    place = {"pid": os.getpid(), "address": ctypes.addressof(memory), "size": len(secret), "fd": held}
    print(json.dumps(place), flush=True)  # noqa: T201  # how it talks to the test
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
