"""A window that slides over the text of one file: flat memory, whatever the file's size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from penstock_guest.reading.errors import InputError

WINDOW_BYTES: Final = 256 * 1024  # fits the second-level cache, where several passes over it cost little
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


class Window:
    """The text at hand.

    Attributes:
        text: what was read and not yet left behind.
        offset_bytes: where it begins in the file.
        final: nothing follows it; it then ends with a line end, the file's own or one put there.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.text = b""
        self.offset_bytes = 0
        self.final = False
        self.grow()
        if self.text.startswith(_UTF16_MARKS):
            raise _not_text("the byte order mark of UTF-16", 0)
        if self.text.startswith(_UTF8_MARK):
            self.drop(len(_UTF8_MARK))

    def drop(self, size_bytes: int) -> None:
        """Leave behind what stands before an offset."""
        self.offset_bytes += size_bytes
        self.text = self.text[size_bytes:]

    def grow(self) -> None:
        """Read on until the text has at least doubled.

        Doubling bounds the cost of looking at a long record again and again by twice the cost of reading it.
        """
        parts = [self.text]
        wanted = max(WINDOW_BYTES, 2 * len(self.text))
        size = len(self.text)
        while size < wanted and not self.final:
            piece = next(self._pieces, None)
            if piece is None:
                self.final = True
                break
            if b"\0" in piece:
                raise _not_text("a NUL byte", self.offset_bytes + size + piece.index(b"\0"))
            parts.append(piece)
            size += len(piece)
        self.text = b"".join(parts)
        if self.final and self.text and not self.text.endswith(b"\n"):
            self.text += b"\n"


def _not_text(found: str, offset_bytes: int) -> InputError:
    return InputError(
        "input_not_text",
        f"expected text in UTF-8, found {found}",
        offset_bytes=offset_bytes,
        hint="Convert it first, for example: iconv -f UTF-16 -t UTF-8 IN > OUT",
    )
