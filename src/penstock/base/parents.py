"""Ending with the process that started this one."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1  # source: prctl(2)


def die_with(parent: int, *, by: int) -> None:
    """Have the kernel send this process a signal when its parent dies, or end it now if that has died already.

    The parent is the thread that started this process: one that goes on as long as its process does.
    """
    libc: Any = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it died before this took hold
        os._exit(1)
