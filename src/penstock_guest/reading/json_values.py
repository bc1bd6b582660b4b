"""Cuts a JSON array, or values that follow one another, without parsing them: only strings and brackets matter.

One match of a pattern passes over everything up to the next bracket, strings included, so a flat record costs two.
Values go on untouched, whether they are valid inside or not: their numbers are never read and written again. A line end
becomes a carriage return, which JSON allows wherever it allows the other, and forbids where it forbids it.
"""

from __future__ import annotations

import re
from typing import Final

from penstock_guest.reading.blocks import RAW_BYTES_MAX, BlockFormat, Broken, Run
from penstock_guest.reading.errors import InputError
from penstock_guest.reading.lines import too_large
from penstock_guest.reading.window import Window

_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NEXT_BRACKET: Final = re.compile(rb'[^"{}\[\]]*+(?:%s[^"{}\[\]]*+)*+[{}\[\]]' % _STRING, re.DOTALL)
_SCALAR: Final = re.compile(rb'%s|[^\s,"{}\[\]]++' % _STRING, re.DOTALL)
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_TOKEN: Final = re.compile(rb'\\.?|["{}\[\],]', re.DOTALL)
_DEPTH: Final = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_OPENING: Final = b"{["


class JsonCutter:
    """Cuts the values of one JSON array, or values that follow one another, into lines of NDJSON."""

    format: BlockFormat = "ndjson"
    header = b""
    first_line: int | None = None  # a value may begin anywhere in a line: its number says where it is

    def __init__(self, window: Window, *, bytes_max: int) -> None:
        self._window = window
        self._record_bytes_max = bytes_max
        self._at = 0
        self._values = 0
        self._at_value = False
        self._in_array = self._next_sign() == b"["
        self._at += self._in_array

    def take(self, records_max: int, bytes_max: int) -> Run | Broken | None:
        """Return the next values, as many as fit; None at the end.

        Raises:
            InputError: where the text between values is not as in JSON, or ends amid one.
        """
        values: list[bytes] = []
        size = 0
        while len(values) < records_max and self._reach_value():
            end = self._value_end()
            size += (end or self._record_bytes_max) - self._at + 1
            if end is None or size > bytes_max:
                if values or bytes_max < self._record_bytes_max:
                    return _run(values)
                return self._refuse_value()
            values.append(self._window.text[self._at : end])
            self._at, self._at_value = end, False
        return _run(values) if values else None

    def _reach_value(self) -> bool:
        """Go to the beginning of the next value; False when there is none."""
        if self._at_value:
            return True
        sign = self._next_sign()
        if self._in_array and sign == b"]":
            self._close()
            return False
        if self._in_array and self._values:
            if sign != b",":
                raise self._syntax("',' or ']'", sign)
            self._at += 1
            sign = self._next_sign()
        if not sign and not self._in_array:
            return False
        if not sign or sign in b",:]}":
            raise self._syntax("a value", sign)
        self._values += 1
        self._at_value = True
        return True

    def _close(self) -> None:
        self._at += 1
        sign = self._next_sign()
        if sign:
            raise self._syntax("nothing after the array", sign)
        self._in_array = False

    def _next_sign(self) -> bytes:
        """Return the next byte that is not space, empty at the end."""
        window = self._window
        while True:
            self._at = _SPACE.match(window.text, self._at).end()  # type: ignore[union-attr]  # it matches nothing at least
            if self._at < len(window.text) or window.final:
                return window.text[self._at : self._at + 1]
            self._grow()

    def _value_end(self) -> int | None:
        """Return where the value at hand ends, None when it is too large for any block."""
        window = self._window
        while (end := _end_of_value(window.text, self._at, final=window.final)) is None:
            if len(window.text) - self._at > self._record_bytes_max:
                return None
            if window.final:
                raise self._syntax(f"the end of value {self._values}", b"")
            self._grow()
        return end

    def _refuse_value(self) -> Broken:
        """Read past a value that is too large for any block, keeping only its beginning."""
        window = self._window
        window.drop(self._at)
        raw, begin = window.text[:RAW_BYTES_MAX], window.offset_bytes
        depth, quoted, ended = 0, False, False
        while True:
            used, depth, quoted, ended = _pass_over(window.text, depth, quoted=quoted)
            window.drop(used)
            if ended:
                break
            if window.final:
                raise self._syntax(f"the end of value {self._values}", b"")
            window.grow()
        self._at, self._at_value = 0, False
        return too_large(raw, window.offset_bytes - begin, self._record_bytes_max)

    def _grow(self) -> None:
        self._window.drop(self._at)
        self._at = 0
        self._window.grow()

    def _syntax(self, expected: str, found: bytes) -> InputError:
        shown = "something else"
        if not found:
            shown = "the end of the file"
        elif found in b'{}[]",:':
            shown = f"'{found.decode()}'"
        code = "json_invalid" if found else "json_truncated"
        message = f"value {self._values}: expected {expected}, found {shown}"
        hint = "" if found else "The file was cut short: fetch it again."
        return InputError(code, message, offset_bytes=self._window.offset_bytes + self._at, hint=hint)


def _run(values: list[bytes]) -> Run:
    return Run(b"".join([value.replace(b"\n", b"\r") + b"\n" for value in values]), len(values), 0)


def _end_of_value(text: bytes, at: int, *, final: bool) -> int | None:
    """Return where the value at a place ends, None when the text ends before."""
    if text[at] not in _OPENING:
        scalar = _SCALAR.match(text, at)
        return scalar.end() if scalar and (final or scalar.end() < len(text)) else None
    depth = 0
    while bracket := _NEXT_BRACKET.match(text, at):
        at = bracket.end()
        depth += _DEPTH[text[at - 1]]
        if not depth:
            return at
    return None


def _pass_over(text: bytes, depth: int, *, quoted: bool) -> tuple[int, int, bool, bool]:
    """Follow a value through a piece of text: return the bytes used, the depth, if in a string, and if it ended."""
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign == b"\\":
            return token.start(), depth, quoted, False  # the byte that it escapes has not been read yet
        if sign == b'"':
            quoted = not quoted
        elif quoted or sign[0] not in b"{}[],":
            continue
        depth += 0 if quoted else _DEPTH.get(sign[0], 0)
        if not quoted and depth <= 0:
            outside = sign == b"," or depth < 0
            return token.start() if outside else token.end(), 0, False, True
    return len(text), depth, quoted, False
