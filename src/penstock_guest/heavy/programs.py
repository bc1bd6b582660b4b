"""What a heavy child can be asked for: a profile to load, a lock, and the work behind it."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, Final

from penstock_guest.heavy.locking import lock_engine
from penstock_guest.lock import LockError

SPILL: Final = ".spill"  # the folder, in the staging folder, of what did not fit into memory
_PROFILES: Final = {name: f"penstock_guest.heavy.{name}" for name in ("sql", "mysql", "sqlite", "probe")}
_MESSAGE_CHARACTERS_MAX: Final = 2_000
_LAST_DESCRIPTOR: Final = 65_536


def load(request: dict[str, Any], *, channel: int) -> tuple[ModuleType | None, dict[str, Any]]:
    """Load a profile and lock this process; return the profile, None when that failed, and what became of it."""
    try:
        program = importlib.import_module(_PROFILES[request["profile"]])
        _close_all_but(channel, request["link"])
        os.chdir(request["writes"])
        os.umask(0o077)
        files = {name: request[name] for name in ("reads", "libraries", "writes")}
        abi = lock_engine(request["limits"], service=request["service"], **files)
    except (LockError, ImportError, OSError) as error:
        return None, {"unlocked": f"{type(error).__name__}: {error}"}
    return program, {"landlock_abi": abi}


def _close_all_but(*kept: int | None) -> None:
    """Close what imports may have left open; kept are the way to the service, and the link where there is one."""
    first = 3
    for number in sorted(each for each in kept if each is not None):
        os.closerange(first, number)
        first = number + 1
    os.closerange(first, _LAST_DESCRIPTOR)


def work(program: ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    """Return what became of a request behind the lock; whatever goes wrong is in the answer."""
    return _carried_out(program, lambda: program.answer(request["ask"], request["limits"]))


def converse(
    program: ModuleType, request: dict[str, Any], hear: Callable[[], dict[str, Any] | None]
) -> Iterator[dict[str, Any]]:
    """Yield what became of one question after the other, of `hear`'s None the end; first, of the tables they are about.

    A question that goes wrong leaves the engine as it was.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Any] = []

        def begin() -> dict[str, Any]:
            opened.append(stack.enter_context(program.converse(request["ask"], request["limits"])))
            return {}

        yield _carried_out(program, begin)
        while opened and (question := hear()) is not None:
            yield _carried_out(program, partial(opened[0].answer, question))


def _carried_out(program: ModuleType, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"answer": act()}
    except MemoryError:
        return {"broken": {"code": "limit_memory", "message": "it needs more memory than it may"}}
    except Exception as error:  # noqa: BLE001  # the door of this process: what an engine raises is data
        return {"broken": program.describe(error)}


def bounded(text: str) -> str:
    """Return the beginning of an engine's words, as text that JSON has a form for."""
    return text[:_MESSAGE_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()
