"""Splits `{"script": ..., "input": <records>, ...}`: the records stay the bytes they are, the rest is parsed.

Records are a tenant's data and are parsed in a locked child only. Here it is enough to see where the value of `input`
begins and ends: strings are skipped, brackets are counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import orjson

from penstock.core import limits
from penstock.core.errors import RequestInvalid

_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_STRING: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"')
_SCALAR: Final = re.compile(rb"[-+.0-9A-Za-z]++")
_NEXT: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+"|["\[\]{}]')
_POINTER: Final = re.compile(rb'\{[ \t\r\n]*"blob"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\\x00-\x1f]++|\\.)*+")[ \t\r\n]*\}')
_CLOSES: Final = {0x5B: 0x5D, 0x7B: 0x7D}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A split request.

    Attributes:
        options: everything but the input.
        records: the bytes of the input's JSON, None when it is a pointer.
        blob: the object that it points to, None when it is records.
    """

    options: dict[str, Any]
    records: bytes | None
    blob: str | None


def split_envelope(body: bytes) -> Envelope:
    """Return the parts of a request's JSON.

    Raises:
        RequestInvalid: when it is no JSON object with an `input` of records, or is nested too deeply.
    """
    _check_encoding(body)
    start, end = _find_input(body)
    rest = body[:start] + b"null" + body[end:]
    try:
        options = orjson.loads(rest)
    except orjson.JSONDecodeError as error:
        # Its own words name a place in `rest` and may quote from it.
        raise _invalid("body", f"is not valid JSON: {str(error).partition(':')[0]}") from None
    del options["input"]
    if any(isinstance(value, dict) for value in options.values()):
        json.loads(rest, object_pairs_hook=_once, parse_int=str)  # the quick parser lets the last one win
    value = body[start:end]
    if pointer := _POINTER.fullmatch(value):
        return Envelope(options, None, _text(pointer[1]))
    if value[:1] not in (b"[", b"{"):
        raise _invalid("body.input", "is neither a list of records, nor one record, nor a pointer to an object")
    return Envelope(options, value, None)


def as_lines(records: bytes) -> bytes | None:
    """Return a JSON list of objects, or one object, as NDJSON; None when it holds anything else.

    A small input as lines needs no reader of its own: the child that runs the script takes it as it is.
    """
    if records[:1] == b"{":
        return _line(records)
    lines: list[bytes] = []
    position = _after_space(records, 1)
    while records[position : position + 1] == b"{":
        end = _end_of_brackets(records, position)
        lines.append(_line(records[position:end]))
        position = _after_space(records, end)
        if records[position : position + 1] != b",":
            break
        position = _after_space(records, position + 1)
        if records[position : position + 1] != b"{":
            return None
    return b"".join(lines) if lines and position == len(records) - 1 else None


def _line(record: bytes) -> bytes:
    # A bare line end stands between tokens only: inside a text it would not be valid, and the child says so.
    return record.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"


def _check_encoding(body: bytes) -> None:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff") or 0 in body[:4]:
        raise _invalid("body", "is UTF-16 or UTF-32; JSON must be UTF-8 here")
    if body[:3] == b"\xef\xbb\xbf":
        raise _invalid("body", "begins with a byte order mark, so it is not a JSON object; send UTF-8 without one")


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, unless a name stands there twice: one of two values would be lost."""
    found = dict(members)
    if len(found) < len(members):
        counts = Counter(name for name, _ in members)
        raise _twice("body", counts.most_common(1)[0][0])
    return found


def _twice(place: str, name: str) -> RequestInvalid:
    return _invalid(place, f"has {name[:64]!r} twice; give each name once")


def _find_input(body: bytes) -> tuple[int, int]:
    """Return where the value of `input` begins and ends."""
    position = _after_space(body, 0)
    if body[position : position + 1] != b"{":
        raise _invalid("body", "is not a JSON object")
    position = _after_space(body, position + 1)
    found: tuple[int, int] | None = None
    names: set[str] = set()
    while body[position : position + 1] != b"}":
        key = _STRING.match(body, position)
        if key is None:
            raise _invalid("body", "is not valid JSON: a member's name is missing")
        position = _after_space(body, key.end())
        if body[position : position + 1] != b":":
            raise _invalid("body", "is not valid JSON: a colon is missing")
        start = _after_space(body, position + 1)
        end = _end_of_value(body, start)
        name = _text(key[0])
        if name in names:
            raise _twice("body", name)
        names.add(name)
        if name == "input":
            found = start, end
        position = _after_space(body, end)
        if body[position : position + 1] == b",":
            position = _after_space(body, position + 1)
        elif body[position : position + 1] != b"}":
            raise _invalid("body", "is not valid JSON: it ends too early, or a comma is missing")
    if found is None:
        raise _invalid("body.input", "is missing")
    return found


def _end_of_value(body: bytes, start: int) -> int:
    if body[start : start + 1] in (b"[", b"{"):
        return _end_of_brackets(body, start)
    value = _STRING.match(body, start) or _SCALAR.match(body, start)
    if value is None:
        raise _invalid("body", "is not valid JSON: a value is missing")
    return value.end()


def _end_of_brackets(body: bytes, start: int) -> int:
    awaited = bytearray()
    for token in _NEXT.finditer(body, start):
        first = body[token.start()]
        if first in _CLOSES:
            awaited.append(_CLOSES[first])
            if len(awaited) > limits.JSON_DEPTH.value:
                raise _invalid("body", f"is nested deeper than {limits.JSON_DEPTH.value} levels")
        elif first != 0x22:
            if awaited.pop() != first:
                raise _invalid("body", "is not valid JSON: brackets do not fit")
            if not awaited:
                return token.end()
        elif token.end() - token.start() == 1:
            raise _invalid("body", "is not valid JSON: a text does not end, or holds a bare control character")
    raise _invalid("body", "is not valid JSON: it ends too early")


def _after_space(body: bytes, position: int) -> int:
    space = _SPACE.match(body, position)
    return space.end() if space else position


def _text(literal: bytes) -> str:
    try:
        text: str = orjson.loads(literal)
    except orjson.JSONDecodeError:
        raise _invalid("body", "is not valid JSON: a text is not UTF-8, or has a wrong escape") from None
    return text


def _invalid(place: str, message: str) -> RequestInvalid:
    return RequestInvalid(
        f"{place} {message}",
        hint='Send {"script": "name", "input": [{...}, ...]}, or the records alone as application/x-ndjson.',
        problems=[{"place": place, "message": message}],
    )
