"""Stored bytes as a response: streamed, with their size, their hash as ETag, and one range if asked for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Iterator
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from penstock.api.problems import RangeNotThere
from penstock.core.jobs import BlobPointer
from penstock.core.ports import Blobs

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def respond_bytes(
    request: Request, pointer: BlobPointer, blocks: Iterator[bytes], *, blobs: Blobs, name: str, media_type: str
) -> Response:
    """Return a response of stored bytes.

    Args:
        request: what was asked; `If-None-Match` and `Range` count.
        pointer: what is known of the bytes.
        blocks: all of them.
        blobs: where a part of them is read from.
        name: what a browser would call the file.
        media_type: of the bytes.

    Raises:
        BlobNotFound: when they are gone, before anything is sent.
        RangeNotThere: when the range that is asked for lies behind their end.
    """
    etag = f'"{pointer.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",  # what a tenant wrote is no page of this server
        "Cache-Control": "private, no-cache",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    status, start, end = 200, 0, pointer.size_bytes
    if wanted := _range_of(request, pointer, etag):
        status, (start, end) = 206, wanted
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{pointer.size_bytes}"
        blocks = blobs.stream(pointer.key, offset=start, length=end - start)
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    first = next(blocks, b"")  # an error comes before the head of the response, or it could not be told
    return _Download(
        itertools.chain([first], blocks), blocks, status_code=status, headers=headers, media_type=media_type
    )


class _Download(StreamingResponse):
    """A response that closes what it was read from however it ends: a client that leaves must not keep a file open."""

    def __init__(self, content: Iterator[bytes], blocks: Iterator[bytes], **given: Any) -> None:
        super().__init__(content, **given)
        self._blocks = blocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self._blocks, Generator):
                self._blocks.close()


def _range_of(request: Request, pointer: BlobPointer, etag: str) -> tuple[int, int] | None:
    """Return begin and end of the one range asked for; None for the whole, as RFC 9110 allows for any other.

    Raises:
        RangeNotThere: when it holds not a single byte.
    """
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if found is None or request.method == "HEAD" or request.headers.get("if-range", etag) != etag:
        return None  # RFC 9110, section 14.2: a range is of GET only
    first, last = found.groups()
    if not first and not last:
        return None
    if first and last and int(last) < int(first):
        return None  # not a range at all
    size_bytes = pointer.size_bytes
    if first:
        start, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
    else:
        start, end = max(0, size_bytes - int(last)), size_bytes
    if start >= end:
        raise RangeNotThere(found[0], size_bytes)
    return start, end
