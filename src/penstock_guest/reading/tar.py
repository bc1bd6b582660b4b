"""Reads a tar archive as a stream: POSIX (pax), GNU and old headers.

The standard library's reader is not used: it takes a damaged header amid an archive for its end (which would lose the
rest in silence), holds extended headers of any size in memory, and remembers every member.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from penstock_guest.reading.errors import InputError

_BLOCK_BYTES: Final = 512
_EXTENDED_BYTES_MAX: Final = 2**20  # names and other facts of one entry; a path of a megabyte is no path
_PLAIN: Final = (b"0", b"\0", b"7")
_FOLDER: Final = b"5"
_LINKS: Final = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
}  # have no content
_LONG_NAME: Final = b"L"
_FOR_NEXT: Final = (b"x", b"X", b"K", _LONG_NAME)
_FOR_ALL: Final = b"g"
_SPARSE: Final = b"S"
_OCTAL: Final = b"01234567"


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive: its path, and what it is if not a plain file ("a symbolic link")."""

    name: str
    obstacle: str | None


class Archive:
    """A tar archive that is read once, in order."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self._held_at = 0
        self._offset = 0
        self._content_left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Yield each entry that is not a folder; its content is to be read before going on, or is passed over.

        Raises:
            InputError: when a header is damaged or the archive ends too early.
        """
        for_all: dict[str, str] = {}
        for_next: dict[str, str] = {}
        while header := self._header():
            kind = header[156:157]
            if kind in _FOR_NEXT:
                for_next |= self._extended(header)
            elif kind == _FOR_ALL:
                for_all |= self._extended(header)
            else:
                facts, for_next = for_all | for_next, {}
                name = facts.get("path") or _name(header)
                self._expect(header, facts)
                if kind != _FOLDER and not name.endswith("/"):
                    yield Member(name, self._obstacle(header, facts))
                for _ in self.content():
                    pass
                self._exactly(self._padding)

    def content(self) -> Iterator[bytes]:
        """Yield what is left of the content of the present entry."""
        while self._content_left:
            piece = self._some(self._content_left)
            if not piece:
                raise self._truncated()
            self._content_left -= len(piece)
            yield piece

    def _expect(self, header: bytes, facts: dict[str, str]) -> None:
        kind = header[156:157]
        size = int(facts["size"]) if facts.get("size", "").isdecimal() else self._size(header)
        more_maps = kind == _SPARSE and header[482]
        while more_maps:
            more_maps = self._exactly(_BLOCK_BYTES)[504]
        self._content_left = 0 if kind in _LINKS else size
        self._padding = -self._content_left % _BLOCK_BYTES

    def _obstacle(self, header: bytes, facts: dict[str, str]) -> str | None:
        kind = header[156:157]
        if kind == _SPARSE or any(fact.startswith("GNU.sparse.") for fact in facts):
            return "a sparse file"
        return None if kind in _PLAIN else _LINKS.get(kind, f"an entry of the unknown kind {kind!r}")

    def _header(self) -> bytes:
        """Return the next header, empty at the end of the archive; what follows the end mark is passed over."""
        begin = self._offset
        header = self._some(_BLOCK_BYTES)
        if header:
            header += self._exactly(_BLOCK_BYTES - len(header))
        elif not begin:
            raise self._truncated()
        if not any(header):
            for _ in self._pieces:  # so that a compression around it is checked to its end
                pass
            return b""
        self._check(header, begin)
        return header

    def _check(self, header: bytes, begin: int) -> None:
        written = header[148:156].strip(b" \0")
        if not written.strip(_OCTAL) and int(written or b"0", 8) == sum(header) - sum(header[148:156]) + 8 * ord(" "):
            return
        if begin:
            raise InputError("input_damaged", "an entry of the tar archive has a damaged header", offset_bytes=begin)
        raise InputError(
            "input_wrong_format",
            "expected a tar archive, found something else",
            offset_bytes=0,
            hint="Rename the file.",
        )

    def _extended(self, header: bytes) -> dict[str, str]:
        """Return the facts that an extended header gives about the entries behind it."""
        size = self._size(header)
        if size > _EXTENDED_BYTES_MAX:
            message = f"an extended header of the tar archive has {size:,} bytes; {_EXTENDED_BYTES_MAX:,} are the limit"
            raise InputError("input_damaged", message, offset_bytes=self._offset)
        text = self._exactly(size)
        self._exactly(-size % _BLOCK_BYTES)
        kind = header[156:157]
        if kind == _LONG_NAME:
            return {"path": text.rstrip(b"\0").decode("utf-8", "replace")}
        return {} if kind == b"K" else dict(_pax_facts(text))

    def _size(self, header: bytes) -> int:
        field = header[124:136]
        if field[0] & 0x80:  # GNU: too large for octal digits
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b" \0")
        if digits.strip(_OCTAL):
            raise InputError(
                "input_damaged", "an entry of the tar archive has no valid size", offset_bytes=self._offset
            )
        return int(digits or b"0", 8)

    def _exactly(self, size_bytes: int) -> bytes:
        parts = []
        while size_bytes:
            piece = self._some(size_bytes)
            if not piece:
                raise self._truncated()
            parts.append(piece)
            size_bytes -= len(piece)
        return b"".join(parts)

    def _some(self, size_bytes: int) -> bytes:
        if self._held_at == len(self._held):
            self._held, self._held_at = next(filter(None, self._pieces), b""), 0
        taken = self._held[self._held_at : self._held_at + size_bytes]
        self._held_at += len(taken)
        self._offset += len(taken)
        return taken

    def _truncated(self) -> InputError:
        message = f"the tar archive ends after {self._offset:,} bytes, amid an entry"
        hint = "The file was cut short: fetch it again."
        return InputError("input_truncated", message, offset_bytes=self._offset, hint=hint)


def _name(header: bytes) -> str:
    prefix = header[345:500] if header[257:263] == b"ustar\0" else b""
    parts = [part.partition(b"\0")[0] for part in (prefix, header[:100])]
    return b"/".join(filter(None, parts)).decode("utf-8", "replace")


def _pax_facts(text: bytes) -> Iterator[tuple[str, str]]:
    """Yield keyword and value of each record "LENGTH KEYWORD=VALUE", as POSIX describes pax."""
    at = 0
    while (space := text.find(b" ", at)) > 0 and text[at:space].isdigit() and int(text[at:space]) > space - at:
        end = at + int(text[at:space])
        keyword, _, value = text[space + 1 : end - 1].partition(b"=")
        yield keyword.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        at = end
