"""The self-test's forbidden acts. Each is tried in a child of its own; one that works makes Penstock refuse scripts."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from penstock_guest import syscalls
from penstock_guest.child import Output

_SYSCALL = ctypes.CDLL(None, use_errno=True).syscall
_SYSCALL.restype = ctypes.c_long


def _call(name: str, *arguments: int) -> None:
    """Make a raw system call; raises OSError when the kernel refuses it."""
    number = {"x86_64": 0, "aarch64": 1}
    machine = _MACHINE
    assert machine is not None, "the lock refuses machines without a table"
    if _SYSCALL(_RAW[name][number[machine.name]], *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


_MACHINE: Final = syscalls.this_machine()
# Calls that no table of the lock names: they must kill.
_RAW: Final = {
    "io_uring_setup": (425, 425),
    "unshare": (272, 97),
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "mount": (165, 40),
}


def _open_file() -> None:
    os.close(os.open("/etc/passwd", os.O_RDONLY))


def _write_file() -> None:
    os.close(os.open(f"/tmp/penstock-probe-{os.getpid()}", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))


def _list_folder() -> None:
    os.listdir("/")


def _internet_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).connect(("127.0.0.1", 9))


def _unix_socket() -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _execute() -> None:
    os.execve("/bin/true", ["true"], {})


def _signal_parent() -> None:
    os.kill(os.getppid(), signal.SIGCONT)


def _thread() -> None:
    import _thread

    _thread.start_new_thread(_nothing, ())


def _nothing() -> None:
    return


def _executable_memory() -> None:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _shared_memory() -> None:
    mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)


def _much_memory() -> None:
    mmap.mmap(-1, MEMORY_BYTES_MAX + mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _memory_file() -> None:
    os.memfd_create("probe")


def _kernel_ring() -> None:
    _call("io_uring_setup", 1, ctypes.addressof(ctypes.create_string_buffer(120)))


def _namespace() -> None:
    _call("unshare", 0x1000_0000)


def _trace() -> None:
    _call("ptrace", 0, 0, 0, 0)


MEMORY_BYTES_MAX: Final = 64 * 2**20  # what the self-test allows its children

ACTS: Final[dict[str, tuple[str, Callable[[], None]]]] = {
    "open_file": ("read a file", _open_file),
    "write_file": ("write a file", _write_file),
    "list_folder": ("list a folder", _list_folder),
    "internet_socket": ("open an internet socket", _internet_socket),
    "unix_socket": ("open a unix socket", _unix_socket),
    "fork": ("fork", _fork),
    "execute": ("execute a program", _execute),
    "signal_parent": ("signal its zygote", _signal_parent),
    "thread": ("start a thread", _thread),
    "executable_memory": ("map memory that can execute", _executable_memory),
    "shared_memory": ("map shared memory", _shared_memory),
    "much_memory": ("exceed its memory limit", _much_memory),
    "memory_file": ("make a memory file", _memory_file),
    "kernel_ring": ("set up io_uring", _kernel_ring),
    "namespace": ("make a user namespace", _namespace),
    "trace": ("ask to be traced", _trace),
}


class Probe:
    """Tries one act a request. A reply says that the process lived through it, and whether the act worked."""

    def __init__(self, _spec: dict[str, Any], _source: bytes) -> None:
        self.problems: list[dict[str, Any]] = []

    def rehearse(self) -> None:
        """Do nothing: it is not run often."""

    def park(self, output: Output) -> None:
        """Do nothing yet."""

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Try the act; success is what must not happen."""
        sys.path.clear()
        try:
            ACTS[request["act"]][1]()
        except OSError as error:
            return {"worked": False, "how": os.strerror(error.errno) if error.errno else type(error).__name__}
        except Exception as error:  # noqa: BLE001  # refusals come as several classes
            return {"worked": False, "how": f"{type(error).__name__}: {error}"}
        return {"worked": True, "how": "it worked"}
