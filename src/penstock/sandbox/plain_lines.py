"""Cuts plain NDJSON at its line ends, without a reader of its own.

The platform may split NDJSON at newlines and do no more with it. For a small input that saves a process. Whatever is
not the plainest NDJSON there is goes to a locked reader, which then says what is wrong with it; what is cut here comes
out exactly as it would there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from typing import Final

from penstock.core import limits
from penstock.core.scripts import Chunk, InputFile

_BYTES_MAX: Final = limits.PLAIN_LINES.value * 2**20
_WRAPPED: Final = re.compile(r"\.(gz|zst|tar|tgz|tzst)$", re.IGNORECASE)
_LINES: Final = re.compile(r"\.(ndjson|jsonl)$", re.IGNORECASE)
# What stands at the begin of a blank line, or what no text holds.
_NOT_PLAIN: Final = (b"\0", b"\n\n", b"\n ", b"\n\t", b"\n\r")


class PlainReader:
    """A ChunkReader over text that is at hand."""

    def __init__(self, name: str, text: bytes, *, chunk_records: int) -> None:
        self._name = name
        self._text = text if text.endswith(b"\n") else text + b"\n"
        self._size_bytes = len(text)
        self._chunk_records = chunk_records
        self.position_bytes = 0
        self.skipped: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks in order."""
        lines, first = BytesIO(self._text), 1
        while taken := list(islice(lines, self._chunk_records)):
            self.position_bytes = min(lines.tell(), self._size_bytes)
            segment = (None, first, first, len(taken), len(taken))
            yield Chunk(self._name, "ndjson", b"".join(taken), len(taken), (segment,))
            first += len(taken)


def read_plain(file: InputFile, *, chunk_records: int) -> PlainReader | None:
    """Return a reader of plain NDJSON; None when the input needs a locked one."""
    if not file.size_bytes or file.size_bytes > _BYTES_MAX or file.encoding != "identity" or not _says_lines(file):
        return None
    text = os.pread(file.fd, file.size_bytes, 0)
    if len(text) != file.size_bytes or not text.startswith(b"{") or any(sign in text for sign in _NOT_PLAIN):
        return None
    return PlainReader(file.name, text, chunk_records=chunk_records)


def _says_lines(file: InputFile) -> bool:
    if _WRAPPED.search(file.name):
        return False
    return file.format == "ndjson" or (file.format is None and _LINES.search(file.name) is not None)
