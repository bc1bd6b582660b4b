"""Entry point of a heavy child: `python -s -P -S boot.py FD`, executed with a literal environment and one descriptor.

The first message on the descriptor says what to load, what may be read and written, and what is asked for. Two lines
come back: whether this process is locked, before anything of a tenant's is looked at; then the answer. In a
conversation, further questions follow, and a line for each.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any


def main() -> None:
    """Load the profile, lock this process, do what is asked for, and answer."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    request = json.loads(_receive(channel))
    sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), *request["paths"]]
    from penstock_guest.heavy import programs

    program, level = programs.load(request, channel=channel.fileno())
    _say(channel, level)
    if program is not None and request.get("converse"):
        for answer in programs.converse(program, request, lambda: _hear(channel)):
            _say(channel, answer)
    elif program is not None:
        _say(channel, programs.work(program, request))
    os._exit(0)  # threads of the engine may still be at work for nobody


def _receive(channel: socket.socket) -> bytes:
    """Return the request: its length in eight bytes, then so many."""
    size_bytes = int.from_bytes(channel.recv(8, socket.MSG_WAITALL), "big")
    parts = bytearray()
    while len(parts) < size_bytes and (part := channel.recv(min(2**20, size_bytes - len(parts)))):
        parts += part
    return bytes(parts)


def _hear(channel: socket.socket) -> dict[str, Any] | None:
    """Return the next question, in the same form; None when there is no more. By read(2), as behind the lock."""
    head = _read(channel, 8)
    question = _read(channel, int.from_bytes(head, "big"))
    found: dict[str, Any] | None = json.loads(question) if question else None
    return found


def _read(channel: socket.socket, size_bytes: int) -> bytes:
    parts = bytearray()
    while len(parts) < size_bytes and (part := os.read(channel.fileno(), min(2**20, size_bytes - len(parts)))):
        parts += part
    return bytes(parts) if len(parts) == size_bytes else b""


def _say(channel: socket.socket, words: dict[str, Any]) -> None:
    line = memoryview(json.dumps(words).encode() + b"\n")
    while line:  # by write(2): the lock leaves no call of sockets
        line = line[os.write(channel.fileno(), line) :]


if __name__ == "__main__":
    main()
