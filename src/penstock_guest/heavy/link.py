"""The one way out that some heavy children have: a socket that the service has connected, known by its number.

Behind the lock there is no call of sockets. `read` and `write` are enough for a protocol of questions and answers, and
TLS is done in memory (`ssl.SSLObject`). The service has set how long the socket waits.
"""

from __future__ import annotations

import io
import os
import ssl
from typing import Any, Final

_READ_BYTES: Final = 64 * 2**10


class Silent(OSError):
    """The other side has said nothing for as long as the service allows."""


class Link:
    """What a driver takes for a socket."""

    def __init__(self, number: int) -> None:
        self._number = number

    def recv(self, size_bytes: int, _flags: int = 0) -> bytes:
        """Return some bytes, none when the other side has closed."""
        try:
            return os.read(self._number, min(size_bytes, _READ_BYTES))
        except BlockingIOError:
            raise Silent("the server has said nothing for too long") from None

    def sendall(self, data: bytes | bytearray) -> None:
        """Write all of some bytes."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._number, left) :]
            except BlockingIOError:
                raise Silent("the server has taken nothing for too long") from None

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a buffered reader."""
        return io.BufferedReader(_Reader(self), _READ_BYTES)

    def settimeout(self, _seconds: float | None) -> None:
        """Leave the time-outs as the service has set them."""

    def setsockopt(self, *_options: Any) -> None:
        """Leave the options as the service has set them."""

    def close(self) -> None:
        """Close it."""
        os.close(self._number)


class TlsLink(Link):
    """A link whose bytes are encrypted; the handshake is done when it is made.

    Raises:
        ssl.SSLError: when it fails, such as for a certificate that is not the host's.
    """

    def __init__(self, plain: Link, context: ssl.SSLContext, *, host: str) -> None:
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._do(self._tls.do_handshake)

    def recv(self, size_bytes: int, _flags: int = 0) -> bytes:
        """Return some bytes, none when the other side has closed."""
        try:
            return bytes(self._do(lambda: self._tls.read(size_bytes)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def sendall(self, data: bytes | bytearray) -> None:
        """Write all of some bytes."""
        left = memoryview(data)
        while left:
            sent = self._do(lambda part=left: self._tls.write(part))
            left = left[sent:]

    def close(self) -> None:
        """Close it."""
        self._plain.close()

    def _do(self, act: Any) -> Any:
        """Return what an act gives, once what it needs has come; what it has to say is sent."""
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._plain.recv(_READ_BYTES)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._out.pending:
            self._plain.sendall(self._out.read())


class LinkTls(ssl.SSLContext):
    """A context whose `wrap_socket` works on links, for drivers that begin TLS themselves."""

    def wrap_socket(self, sock: Any, *_: Any, server_hostname: Any = None, **__: Any) -> Any:
        """Return the link, encrypted."""
        return TlsLink(sock, self, host=str(server_hostname))


class _Reader(io.RawIOBase):
    def __init__(self, link: Link) -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._link.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)
