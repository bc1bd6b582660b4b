"""Bells: tell the other processes of this machine that something was committed, so that nobody has to poll closely.

A bell is a Unix datagram socket in a folder that the processes share. To ring is to send an empty message to each bell
of a name: some ten microseconds, no connection, no answer. A message may get lost (a full buffer, a process on another
machine), so whoever waits for one looks for itself now and then as well: bells make things prompt, never correct.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import tempfile
from pathlib import Path
from typing import Final, Self

_FOLDER_BYTES_MAX: Final = 70  # source: sun_path in unix(7) has 108, and a name is below 38


class Bells:
    """The bells of the processes that share a folder.

    Args:
        folder: where they hang; its permissions say who may ring.
    """

    def __init__(self, folder: Path) -> None:
        if len(bytes(folder)) > _FOLDER_BYTES_MAX:  # all who share it come to the same other one
            short = hashlib.sha256(bytes(folder)).hexdigest()[:16]
            folder = Path(tempfile.gettempdir()) / f"penstock-{os.getuid()}-{short}"
        self._folder = folder
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def ring(self, name: str) -> None:
        """Wake all who wait for a bell of this name."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as found:
            for each in found:
                if each.name.startswith(f"{name}."):
                    self._ring(each.path)

    def hang(self, name: str) -> Bell:
        """Return a bell of this name for this process to wait for."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Bell(self._folder / f"{name}.{os.getpid()}.{os.urandom(4).hex()}")

    def close(self) -> None:
        """Stop ringing."""
        self._sender.close()

    def _ring(self, path: str) -> None:
        try:
            self._sender.sendto(b"", path)
        except BlockingIOError:
            pass  # its owner has been told and has not looked yet
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # its owner was killed


class Bell:
    """What one process waits for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)

    def fileno(self) -> int:
        """Return what an event loop can watch."""
        return self._socket.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Return True once it has rung since the last wait, False when the time is up."""
        rung = bool(self._readable.poll(max(0.0, timeout_s) * 1000))
        if rung:
            self.clear()
        return rung

    def clear(self) -> None:
        """Forget that it has rung."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)

    def close(self) -> None:
        """Take it down."""
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
