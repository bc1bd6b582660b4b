"""Connections whose requests have heads, trailers and chunk sizes of bounded length, sent and read in bounded time.

The parser keeps a line until it is whole, however long it becomes, and anybody can send one: a key is looked at later.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.api.problems import MEDIA_TYPE, respond
from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.errors import TooLarge

_HEAD_BYTES_MAX: Final = limits.REQUEST_HEAD.value * 1024


class Connection(HttpToolsProtocol):
    """One connection, for one request after the other."""

    _in_head = True
    _got_on = False
    _idle_bytes = 0
    _too_long = False
    _late: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _unread_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Expect the first request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._expect_nothing()
        self._reader_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless too much has come of something that has no end."""
        self._got_on = False
        super().data_received(data)
        self._idle_bytes = 0 if self._got_on else self._idle_bytes + len(data)
        if self._idle_bytes > _HEAD_BYTES_MAX and not self.transport.is_closing():
            self._too_long = True
            self.send_400_response("")
        elif self._in_head and not self._got_on and self._late is None:
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what comes behind a body is not looked at."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head is too long."""
        self._in_head, self._got_on = False, True
        self._expect_nothing()
        size_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size_bytes > _HEAD_BYTES_MAX:
            self._too_long = True
            raise ValueError("the head is too long")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._got_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Let the next request begin."""
        self._in_head = self._got_on = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Wait for whoever reads, not for ever."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """Write on."""
        self._reader_is_there()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or is none within the bounds."""
        if not self._too_long:
            super().send_400_response(msg)
            return
        error = TooLarge(
            f"the head of a request may have {limits.REQUEST_HEAD.value} KiB: its path, its query and its headers",
            hint="Send less there; records go into the body.",
        )
        body = bytes(respond(error, request_id=new_id("req")).body).replace(b'"status":413', b'"status":431')
        head = f"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: {MEDIA_TYPE}\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _expect_reader(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(limits.READER_IDLE.value, self._look_at_reader)

    def _look_at_reader(self) -> None:
        """Give up a reader who takes less than a sender has to send."""
        read_bytes = self._unread_bytes - self.transport.get_write_buffer_size()
        if read_bytes < limits.BODY_RATE.value * limits.READER_IDLE.value:
            self.transport.abort()
        else:
            self._expect_reader()

    def _reader_is_there(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(limits.HEAD_TIME.value, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
