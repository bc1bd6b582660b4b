"""The self-test's forbidden acts of the heavy class: each is tried behind the lock, and none may work."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Final


def _read_elsewhere(ask: dict[str, Any]) -> None:
    os.close(os.open(ask["secret"], os.O_RDONLY))


def _list_elsewhere(ask: dict[str, Any]) -> None:
    os.listdir(os.path.dirname(ask["secret"]))


def _write_elsewhere(ask: dict[str, Any]) -> None:
    os.close(os.open(ask["secret"] + ".new", os.O_CREAT | os.O_WRONLY))


def _read_memory_of_others(_ask: dict[str, Any]) -> None:
    os.close(os.open(f"/proc/{os.getppid()}/environ", os.O_RDONLY))


def _internet(_ask: dict[str, Any]) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()


def _unix(_ask: dict[str, Any]) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()


def _fork(_ask: dict[str, Any]) -> None:
    if os.fork() == 0:
        os._exit(0)


def _execute(_ask: dict[str, Any]) -> None:
    pid = ctypes.CDLL(None, use_errno=True).execve(b"/bin/true", None, None)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _signal(_ask: dict[str, Any]) -> None:
    os.kill(os.getppid(), signal.SIGCONT)


def _executable_memory(_ask: dict[str, Any]) -> None:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _much_memory(ask: dict[str, Any]) -> None:
    mmap.mmap(-1, ask["memory_bytes"], flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _shared_memory(_ask: dict[str, Any]) -> None:
    mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)


def _nameless_file(_ask: dict[str, Any]) -> None:
    os.close(os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600))


def _remove(_ask: dict[str, Any]) -> None:
    with open("counted", "x") as file:
        file.write("x")
    os.unlink("counted")
    if os.path.exists("counted"):
        raise FileExistsError("counted")


def _change_times(ask: dict[str, Any]) -> None:
    os.utime(ask["secret"], (0, 0))


def _link(ask: dict[str, Any]) -> None:
    os.symlink(ask["secret"], "link")


ACTS: Final[dict[str, tuple[str, Callable[[dict[str, Any]], None]]]] = {
    "read_elsewhere": ("read a file that is no input", _read_elsewhere),
    "list_elsewhere": ("list a folder that is not its own", _list_elsewhere),
    "write_elsewhere": ("write outside its staging folder", _write_elsewhere),
    "read_memory_of_others": ("read another process's environment", _read_memory_of_others),
    "internet": ("open an internet socket", _internet),
    "unix": ("open a unix socket", _unix),
    "fork": ("fork", _fork),
    "execute": ("execute a program", _execute),
    "signal": ("signal its parent", _signal),
    "executable_memory": ("map memory that can execute", _executable_memory),
    "much_memory": ("exceed its memory limit", _much_memory),
    "shared_memory": ("share memory, which no limit counts", _shared_memory),
    "nameless_file": ("make a file without a name", _nameless_file),
    "remove": ("take a file away before it is counted", _remove),
    "change_times": ("change the times of a file elsewhere", _change_times),
    "link": ("make a link to elsewhere", _link),
}


def answer(ask: dict[str, Any], _limits: dict[str, Any]) -> dict[str, Any]:
    """Try every act, and return what became of each; and that what is allowed works."""
    found: dict[str, Any] = {}
    for name, (_, act) in ACTS.items():
        try:
            act(ask)
        except Exception as error:  # noqa: BLE001  # refusals come as several classes
            found[name] = type(error).__name__
        else:
            found[name] = None
    with open("allowed", "x") as file:
        file.write("x")
    with open(ask["input"], "rb") as file:
        read_bytes = len(file.read())
    return {"acts": found, "read_bytes": read_bytes, "wrote": os.path.exists("allowed")}


def describe(error: Exception) -> dict[str, Any]:
    """Return an error in words."""
    return {"code": "bug", "type": type(error).__name__, "message": type(error).__name__, "line": None}
