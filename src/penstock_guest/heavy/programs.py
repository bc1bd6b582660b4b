"""What a heavy child can be asked for: a profile to load, a lock, and the work behind it."""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

from penstock_guest.heavy.locking import lock_engine
from penstock_guest.lock import LockError

_PROFILES: Final = {"sql": "penstock_guest.heavy.sql", "probe": "penstock_guest.heavy.probe"}
_MESSAGE_CHARACTERS_MAX: Final = 2_000


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Return what became of a request; whatever goes wrong is in the answer."""
    try:
        program = importlib.import_module(_PROFILES[request["profile"]])
        os.chdir(request["writes"])
        os.umask(0o077)
        abi = lock_engine(request["limits"], reads=[*request["libraries"], *request["reads"]], writes=request["writes"])
    except (LockError, ImportError, OSError) as error:
        return {"unlocked": f"{type(error).__name__}: {error}"}
    try:
        return {"landlock_abi": abi, "answer": program.answer(request["ask"])}
    except MemoryError:
        return {"landlock_abi": abi, "broken": {"code": "limit_memory", "message": "it needs more memory than it may"}}
    except Exception as error:  # noqa: BLE001  # the door of this process: what an engine raises is data
        return {"landlock_abi": abi, "broken": program.describe(error)}


def bounded(text: str) -> str:
    """Return the beginning of an engine's words, as text that JSON has a form for."""
    return text[:_MESSAGE_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()
