"""Layers of the heavy class's lock that a test's boot leaves out, by patching its own process; and engines taken over.

Profiles can be patched when their libraries can be found: after the request has come, before it is carried out.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable
from typing import Any, Final

from penstock_guest import lock
from penstock_guest.heavy import locking, programs

_NATIVE_ATTACK: Final = "native"
_STAY_S: Final = 5


def landlock() -> None:
    """As if nothing bounded files; the product would refuse to run."""
    vars(locking).update(_restrict=lambda *_: 0)


def new_landlock() -> None:
    """As on the first kernels that have it: no rule about emptying files, networks and signals."""
    vars(lock).update(landlock_abi=lambda: 1)


def seccomp() -> None:
    """Without the filter."""
    vars(lock).update(install_filter=lambda _program: None)


def rlimits() -> None:
    """Without limits."""
    vars(locking).update(_limit=lambda _limits: None)
    vars(resource).update(setrlimit=lambda *_: None)


def privileges() -> None:
    """With all that the service may."""
    vars(locking).update(_drop_privileges=lambda **_: None)


def closing() -> None:
    """With whatever descriptors its imports have left open."""
    vars(os).update(closerange=lambda *_: None)


def duckdb() -> None:
    """With a DuckDB that was told nothing, and that carries out whatever is written, as one put together carelessly."""

    def unlock(sql: Any) -> None:
        assert {"_lock", "one_select"} <= set(vars(sql)), "what is patched is there"
        vars(sql).update(_lock=lambda *_, **__: None, one_select=_whatever)

    _before_work(unlock)


def taking_over() -> None:
    """Not a layer: what happens when DuckDB has a hole. The query is native code, after a query in SQL."""

    def take(sql: Any) -> None:
        plain = sql.answer

        def answer(ask: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
            if ask["sql"] != _NATIVE_ATTACK:
                return dict(plain(ask, limits))
            with sql._connect(ask, limits) as connection:
                connection.execute("SELECT sum(range) FROM range(100_000)").fetchall()
                return _carry_out(ask)

        vars(sql).update(answer=answer)

    _before_work(take)


def lingering() -> None:
    """Not a layer: stays for a while after its answer, so that it can be looked at."""

    def stay(_sql: Any) -> None:
        vars(os).update(_exit=lambda _code: time.sleep(_STAY_S))

    _before_work(stay)


def _before_work(patch: Callable[[Any], None]) -> None:
    before = programs.load

    def load(request: dict[str, Any], *, channel: int) -> Any:
        import ctypes
        import email
        import mmap
        import pickle
        import select
        import socket
        import struct

        from penstock_guest.heavy import sql

        assert all((ctypes, email, mmap, pickle, select, socket, struct)), "loaded before the lock"
        patch(sql)
        return before(request, channel=channel)

    vars(programs).update(load=load)


def _whatever(connection: Any, sql: str) -> None:
    import duckdb

    with contextlib.suppress(duckdb.ParserException):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE penstock_result AS ({sql})")
        return
    rows = str(connection.execute(sql).fetchall()).replace("'", "''")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE penstock_result AS SELECT '{rows}' AS loot")


def _carry_out(ask: dict[str, Any]) -> dict[str, Any]:
    """Run an attack as the strict class's suite has it."""
    names: dict[str, Any] = {}
    try:
        exec(compile(ask["code"], "attack", "exec"), names)
        return dict(names["process"](ask["data"]))
    except Exception as error:  # noqa: BLE001  # refusals come as several classes
        return {"loot": None, "error": {"type": type(error).__name__, "message": str(error)}}
