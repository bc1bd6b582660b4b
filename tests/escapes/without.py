"""Layers of the lock that a test's boot leaves out, by patching its own zygote: the product has no such switch."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from penstock_guest import filters, lock

LEFT_OPEN_FD: Final = 200
_SET_DUMPABLE, _SET_NO_NEW_PRIVILEGES, _SET_MDWE = 4, 38, 65
_prctl: Final = lock._prctl


class _NoFilter:
    calls: tuple[()] = ()


def _put(**pieces: Callable[..., Any]) -> None:
    vars(lock).update(pieces)


def landlock() -> None:
    """As on a kernel that has none."""
    _put(restrict_with_landlock=lambda: 0)


def outer() -> None:
    """Without the filter that zygotes put on."""
    _put(install_filter=lambda _program: None)


def inner() -> None:
    """Without the filter that children add."""
    _put(inner_filter=_NoFilter)


def rlimits() -> None:
    """Without limits of memory, time, files, processes and descriptors."""
    _put(limit_memory=lambda *_, **__: None, limit_calls=lambda **_: [])


def mdwe() -> None:
    """Without the kernel's own rule that writable memory does not become executable."""
    _skip(_SET_MDWE)


def hiding() -> None:
    """Visible to other processes of the same user."""
    _skip(_SET_DUMPABLE, instead=1)


def no_new_privileges() -> None:
    """Free to gain privileges by executing a program; only where no filter is installed."""
    _skip(_SET_NO_NEW_PRIVILEGES)


def death_signal() -> None:
    """Free to outlive the parent."""
    _put(death_calls=list)


def closing() -> None:
    """With whatever descriptors its imports have left open."""
    vars(os).update(closerange=lambda *_: None)
    _put(closing_calls=list)


def leaving_open() -> None:
    """Not a layer: what a careless import might do. The descriptor leads to the environment."""
    os.dup2(os.open("/proc/self/environ", os.O_RDONLY), LEFT_OPEN_FD)


def privileges() -> None:
    """As root with all its capabilities, where the service is."""
    _put(drop_privileges=lambda: None)


def code_rules() -> None:
    """Without the filter's rules against memory that can execute, and with every way to say where it shall lie."""
    refuse = filters.refuse_bits

    def refuse_other_bits(*, argument: int, bits: int) -> list[filters.Instruction]:
        left_out = filters.PROT_EXEC, filters.MAP_FLAGS ^ 0xFFFF_FFFF
        return [] if bits in left_out else refuse(argument=argument, bits=bits)

    vars(filters).update(refuse_bits=refuse_other_bits)


def _skip(skipped: int, *, instead: int | None = None) -> None:
    before = lock._prctl

    def prctl(option: int, value: int) -> None:
        if option != skipped:
            before(option, value)
        elif instead is not None:
            _prctl(option, instead)

    _put(_prctl=prctl)
