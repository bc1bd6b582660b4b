"""A way to one checked place and nowhere else, for clients that resolve names and follow redirects themselves.

It is an HTTP proxy on loopback. Whatever a client asks it for, it connects only to the addresses that the egress rule
has found good, and only for their own host and port: a redirect to another place, and a name that comes to lead
elsewhere, end here. What is encrypted stays so: of that it sees the host and the port alone.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from typing import Final, Self

from penstock.core import limits
from penstock.core.access import Destination

_HEAD_BYTES_MAX: Final = 64 * 2**10
_BLOCK_BYTES: Final = 256 * 2**10
_CONNECT_S: Final = 10.0
_AT_ONCE: Final = 64  # connections; a client opens some ten
_REQUEST: Final = re.compile(rb"([A-Z]{1,10}) (\S+) HTTP/1\.1\r\n")
_CONNECTION: Final = re.compile(rb"\r\n(?:Connection|Proxy-Connection): [^\r\n]*", re.IGNORECASE)
_REFUSED: Final = b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_UNREACHABLE: Final = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PinnedProxy:
    """Serves while it is entered, on a port of its own.

    Args:
        destination: where it leads, as the egress rule has judged it.

    Attributes:
        refused: whether it was asked for another place.
    """

    def __init__(self, destination: Destination) -> None:
        host = f"[{destination.host}]" if ":" in destination.host else destination.host
        default = destination.port == (443 if destination.scheme == "https" else 80)
        self._places = {f"{host}:{destination.port}".encode(), *([host.encode()] if default else [])}
        self._destination = destination
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self.refused = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """What a client is told."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="pinned-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            left = list(self._open)
        for each in left:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if not self._free.acquire(timeout=_CONNECT_S):
                client.close()
                continue
            threading.Thread(target=self._serve, args=[client], name="pinned-proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with self._held(client), contextlib.suppress(OSError):
                client.settimeout(limits.SOURCE_REQUEST.value)
                self._lead(client)
        finally:
            self._free.release()

    def _lead(self, client: socket.socket) -> None:
        """Join a client with the place, when it is that which it asks for."""
        head, rest = _head(client)
        asked = _REQUEST.match(head)
        tunnel = asked is not None and asked[1] == b"CONNECT"
        place, path = (b"", b"") if asked is None else (asked[2], b"") if tunnel else _split(asked[2])
        if asked is None or place.lower() not in self._places or tunnel != (self._destination.scheme == "https"):
            self.refused = True
            client.sendall(_REFUSED)
            return
        server = self._connect()
        if server is None:
            client.sendall(_UNREACHABLE)
            return
        with self._held(server):
            if tunnel:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:  # one request for a connection: a second one might be for another place
                line = asked[1] + b" " + path + b" HTTP/1.1\r\nConnection: close\r\n"
                server.sendall(line + _CONNECTION.sub(b"", b"\r\n" + head[asked.end() :])[2:])
            server.sendall(rest)
            back = threading.Thread(target=_carry_all, args=[server, client], daemon=True)
            back.start()
            _carry(client, server)
            back.join()

    def _connect(self) -> socket.socket | None:
        for address in self._destination.addresses:
            with contextlib.suppress(OSError):
                server = socket.create_connection((address, self._destination.port), timeout=_CONNECT_S)
                server.settimeout(limits.SOURCE_REQUEST.value)
                return server
        return None

    @contextlib.contextmanager
    def _held(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return what a client asks for, up to the empty line, and what has come behind it."""
    found = b""
    while b"\r\n\r\n" not in found and len(found) < _HEAD_BYTES_MAX:
        part = client.recv(_HEAD_BYTES_MAX)
        if not part:
            break
        found += part
    head, end, rest = found.partition(b"\r\n\r\n")
    return head + end, rest


def _split(url: bytes) -> tuple[bytes, bytes]:
    """Return the host and port of a plain http URL, and the rest of it; nothing for any other."""
    scheme, _, rest = url.partition(b"://")
    if scheme.lower() != b"http":
        return b"", b""
    place, slash, path = rest.partition(b"/")
    return place, (slash or b"/") + path


def _carry_all(source: socket.socket, target: socket.socket) -> None:
    """Hand on bytes until there are no more, and let the target send none either."""
    _carry(source, target)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Hand on bytes until there are no more, and say so."""
    with contextlib.suppress(OSError):
        while block := source.recv(_BLOCK_BYTES):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
