"""Raw data as lines: records of a page or of a chunk, each a line of plain values, with what is found in each column.

Nothing is decided here about types, so that one pass is enough whatever a table looks like: a value stays what it is,
an object or an array becomes its JSON text, and an integer past 64 bits the text of its digits.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from dataclasses import dataclass
from hashlib import blake2b
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock_guest import exact_json
from penstock_guest.reading import InputError, Records, Segment, Undecodable, decode, locate, read_blocks
from penstock_guest.reading.csv_header import header_end, require_columns_of_table
from penstock_guest.reading.decompression import gunzip

if TYPE_CHECKING:
    from penstock_guest.child import Output

_HASH: Final = "_hash"
# As `landed_name` of `penstock.core.raw` has it: such names get one more `_` behind.
_TAKEN: Final = re.compile(r"_(?:run|landed_at|source|hash|date|penstock_file)_*", re.IGNORECASE)
_KINDS: Final[dict[type, str | None]] = {
    bool: "boolean",
    int: "long",
    float: "double",
    str: "text",
    dict: "json",
    list: "json",
    type(None): None,
}
_NAME_MAX: Final = 255
_SHAPES_MAX: Final = 20_000
_TEXT_MAX: Final = 64 * 2**10
_WORDS_MAX: Final = 10
_MARK_MAX: Final = 2_000  # characters of a cursor
_LONG: Final = range(-(2**63), 2**63)
_DIGEST_BYTES: Final = 16
_KNOWN_MAX: Final = 1_000
_UNZIPPED_MAX: Final = 128 * 2**20
Record = dict[str, Any]


class Broken(Exception):
    """An answer is not what it is said to be."""

    def __init__(self, message: str, *, is_json: bool = True) -> None:
        super().__init__(message)
        self.is_json = is_json


@dataclass(slots=True)
class Shape:
    """What records of the same names and types have in common.

    Attributes:
        kinds: of each column, in its name.
        fault: why such records have no place in a table.
        changed: names whose values become JSON text, or that get another name.
    """

    kinds: tuple[tuple[str, str | None], ...]
    fault: str
    changed: tuple[tuple[str, str], ...]


class RawLines:
    """Answers requests: a page, or a chunk, as lines."""

    def __init__(self, _spec: dict[str, Any], _source: bytes) -> None:
        self.problems: list[dict[str, Any]] = []
        self._shapes: dict[tuple[Any, ...], Shape] = {}

    def rehearse(self) -> None:
        """Do nothing: a child serves many pages."""

    def park(self, output: Output) -> None:
        """Do nothing yet."""

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Write lines, then those of what was rejected."""
        try:
            data, letters = _parts(request, given)
            making = _Making(self._shapes, data, request)
            following = None
            if request["form"] == "page":
                following = making.take_page(data, request)
            elif request["form"] == "chunk":
                making.take_chunk(data, letters, request)
            elif not making.take_file(data, request):
                return {"another_way": True}
        except Broken as broken:
            return {"broken": str(broken), "is_json": broken.is_json}
        except InputError as error:
            return {"unreadable": error.message, "line": error.line, "hint": error.hint}
        output.write(b"".join(making.lines))
        output_bytes = output.size_bytes
        output.write(b"".join(making.rejected))
        return {
            "output_bytes": output_bytes,
            "dead_bytes": output.size_bytes - output_bytes,
            "records": len(making.lines),
            "refused": len(making.rejected),
            "kinds": making.kinds(),
            "next": following,
            "highest": making.highest,
            "at_highest": making.at_highest[:_KNOWN_MAX],
            "left_out": making.left_out,
        }


class _Bytes:
    """A file that is all there."""

    def __init__(self, data: bytes) -> None:
        self.buffer: memoryview | None = memoryview(data)
        self._left = self.buffer

    def read(self, size_bytes: int, /) -> memoryview:
        """Return the next bytes."""
        part, self._left = self._left[:size_bytes], self._left[size_bytes:]
        return part


class _Making:
    """The lines of one request."""

    def __init__(self, shapes: dict[tuple[Any, ...], Shape], data: bytes, request: dict[str, Any]) -> None:
        self.lines: list[bytes] = []
        self.rejected: list[bytes] = []
        self.highest: list[Any] | None = None  # how it is compared, and what it is
        self.at_highest: list[str] = []  # hashes of the records that have it
        self.left_out = 0
        self._shapes = shapes
        self._seen: dict[tuple[Any, ...], Shape] = {}
        self._wide = exact_json.may_hold_long_integer(data)
        self._cursor_at = None if request["cursor_at"] is None else request["cursor_at"].split(".")
        self._known = frozenset(request["known"])

    def take_page(self, data: bytes, request: dict[str, Any]) -> Any:
        """Take the records of a JSON document, and return what it says of the next; before them, where that is asked.

        So the service asks for the next page while this one's records are taken, and no document is parsed twice.
        """
        document = self._document(data)
        following = None if request["next_at"] is None else _next(document, request["next_at"])
        if request["ahead"]:
            os.write(0, orjson.dumps({"next": following}))
        records = _records(document, request["records_at"])
        if not self._take_alike(records):
            for number, record in enumerate(records, 1):
                self._take(record, number)
        return following

    def _document(self, data: bytes) -> Any:
        try:
            return (exact_json.loads_for(data) if self._wide else orjson.loads)(data)
        except orjson.JSONDecodeError as error:
            raise Broken(f"it is not JSON: {error.msg}", is_json=False) from None

    def take_chunk(self, data: bytes, letters: bytes, request: dict[str, Any]) -> None:
        """Take the records of a chunk, and what its reader could not cut out."""
        for letter in map(orjson.loads, letters.splitlines()):
            self._reject(letter["line"], letter["error"]["message"], letter["raw"])
        _require_columns(request["format"], data)
        places = tuple(Segment(*segment) for segment in request["segments"])
        self._take_records(decode(request["format"], data), places, request["records_at"])

    def _take_records(self, records: Records, places: tuple[Segment, ...], records_at: str) -> None:
        for index, record in enumerate(records):
            if type(record) is Undecodable:
                original = records.original()
                text = original.decode("utf-8", "replace") if isinstance(original, bytes) else _text(original)
                self._reject(locate(places, index, records.line()).line, record.message, text)
            elif records_at:
                for inner in _records(record, records_at):
                    self._take(inner, locate(places, index, records.line()).line)
            else:
                self._take(record, None, places=(places, index, records))

    def take_file(self, data: bytes, request: dict[str, Any]) -> bool:
        """Take the records of a whole small file; return whether that went well, or it has to be read in pieces."""
        size = 0
        try:
            for block in read_blocks(_Bytes(data), name=request["name"], format=request["format"]):
                size += block.size_bytes
                if size > _UNZIPPED_MAX or block.skipped or block.format == "arrow":
                    return False
                _require_columns(block.format, block.payload)
                for lost in block.failures:
                    self._reject(lost.line, lost.message, lost.raw.decode("utf-8", "replace"))
                self._wide = exact_json.may_hold_long_integer(block.payload)
                self._take_records(decode(block.format, block.payload), block.segments, request["records_at"])
        except InputError:
            return False  # who reads it in pieces says what is wrong
        return True

    def kinds(self) -> dict[str, list[str]]:
        """Return which kinds of values each column has."""
        found: dict[str, set[str]] = {}
        for shape in self._seen.values():
            for name, kind in shape.kinds:
                known = found.setdefault(name, set())
                if kind is not None:
                    known.add(kind)
        return {name: sorted(known) for name, known in found.items()}

    def _take_alike(self, records: list[Any]) -> bool:
        """Take records that need their hash and nothing else, a page in a sixth less time; return whether all do."""
        if self._wide or self._cursor_at is not None or not self._all_plain(records[:1]):
            return False  # by the first one already, where values are nested
        if not self._all_plain(records):
            return False
        self.lines += [
            b'{"_hash":"%b",%b\n' % (blake2b(text, digest_size=_DIGEST_BYTES).hexdigest().encode(), text[1:])
            for text in map(orjson.dumps, records, repeat(None), repeat(orjson.OPT_SORT_KEYS))
        ]
        return True

    def _all_plain(self, records: list[Any]) -> bool:
        """Return whether all are objects, with names, whose values stay what they are; take note of their shapes."""
        if {*map(type, records)} != {dict}:
            return False
        found = {(*record, *map(type, record.values())): record for record in records}
        shapes = [self._seen.get(key) or self._shape(key, record) for key, record in found.items()]
        return all(shape.kinds and not shape.fault and not shape.changed for shape in shapes)

    def _take(self, record: Any, line: int | None, *, places: tuple[Any, Any, Any] | None = None) -> None:
        if type(record) is not dict:
            self._reject(line, f"a record is a JSON object; found {type(record).__name__}", _text(record))
            return
        if self._wide:
            _narrow(record)
        key = (*record, *map(type, record.values()))
        shape = self._seen.get(key) or self._shape(key, record)
        if shape.fault:
            if places is not None:
                line = locate(places[0], places[1], places[2].line()).line
            self._reject(line, shape.fault, _text(record))
            return
        text = orjson.dumps(record, option=orjson.OPT_SORT_KEYS) if not self._wide else _sorted(record)
        digest = blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()
        if self._cursor_at is not None:
            self._look_at_cursor(record, digest)
            if digest in self._known:
                self.left_out += 1
                return
        if shape.changed:
            _change(record, shape)
            text = orjson.dumps(record)
        self.lines.append(b'{"_hash":"%b"%b%b\n' % (digest.encode(), b"," if record else b"", text[1:]))

    def _shape(self, key: tuple[Any, ...], record: Record) -> Shape:
        """Return the shape of a record that is the first of it in this request."""
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _SHAPES_MAX:
                self._shapes.clear()
            shape = self._shapes[key] = _shape_of(record)
        if not shape.fault:
            self._seen[key] = shape
        return shape

    def _reject(self, line: int | None, error: str, text: str) -> None:
        self.rejected.append(orjson.dumps({"line": line, "error": error, "record": text[:_TEXT_MAX]}) + b"\n")

    def _look_at_cursor(self, record: Record, digest: str) -> None:
        value = _walk(record, self._cursor_at or [])
        if type(value) not in (str, int, float) or (type(value) is str and len(value) > _MARK_MAX):
            return
        rank = _rank(value)
        try:
            if self.highest is None or rank > self.highest[0]:
                self.highest, self.at_highest = [rank, value], [digest]
            elif rank == self.highest[0]:
                self.at_highest.append(digest)
        except TypeError:
            raise Broken("the cursor field holds numbers here and texts there") from None


def _parts(request: dict[str, Any], given: memoryview) -> tuple[bytes, bytes]:
    """Return what was sent, its compression undone, and what a reader could not cut.

    Raises:
        Broken: when it cannot be undone, or becomes too large.
    """
    size, letters = request["input_bytes"], request["letters_bytes"]
    data = bytes(given[: size - letters])
    if request["encoding"] == "gzip":
        data = _unzipped(data)
    elif request["encoding"] != "identity":
        raise Broken("it is compressed in a way that was not asked for")
    return data, bytes(given[size - letters : size])


def _require_columns(kind: str, text: bytes) -> None:
    """Raise InputError when a text is CSV, and its header line has no place in a table."""
    if kind == "csv" and (end := header_end(text)):
        require_columns_of_table(text[:end].rstrip(b"\r\n"))


def _unzipped(data: bytes) -> bytes:
    parts, size = [], 0
    try:
        for part in gunzip(iter((data,))):
            parts.append(part)
            size += len(part)
            if size > _UNZIPPED_MAX:
                raise Broken(f"it becomes more than {_UNZIPPED_MAX // 2**20} MiB")
    except InputError as error:
        raise Broken(f"it is damaged: {error.message}", is_json=False) from None
    return b"".join(parts)


def _shape_of(record: Record) -> Shape:
    names = list(record)
    changed: list[tuple[str, str]] = []
    kinds: list[tuple[str, str | None]] = []
    for name, value in record.items():
        new = f"{name}_" if name[:1] == "_" and _TAKEN.fullmatch(name) else name
        kind = _KINDS[type(value)]
        kinds.append((new, kind))
        if new != name or kind == "json":
            changed.append((name, new))
    return Shape(tuple(kinds), _fault(names, [name for name, _ in kinds]), tuple(changed))


def _fault(names: list[str], new: list[str]) -> str:
    """Return why records of these names have no place in a table; empty when they have."""
    if any(not name or len(name) > _NAME_MAX or "\0" in name for name in names):
        return f"a field's name has 1 to {_NAME_MAX} characters, none of them zero"
    if len({name.lower() for name in new}) < len(new):
        return "two fields have names that differ in nothing but case"
    return ""


def _change(record: Record, shape: Shape) -> None:
    values = [record.pop(name) for name, _ in shape.changed]  # first all of them: one's new name is another's old one
    for (_, new), value in zip(shape.changed, values, strict=True):
        record[new] = _text(value) if isinstance(value, dict | list) else value


def _narrow(record: Record) -> None:
    """Turn integers past 64 bits into the text of their digits."""
    for name, value in record.items():
        if type(value) is int and value not in _LONG:
            record[name] = str(value)


def _text(value: Any) -> str:
    return exact_json.dumps(value).decode()


def _sorted(record: Record) -> bytes:
    """Return a record with its names in order, whose nested integers may be past 64 bits."""
    try:
        return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _records(document: Any, at: str) -> list[Any]:
    """Return the records of a document; one object is one record, null is none.

    Raises:
        Broken: when there are none where they should be.
    """
    found, walked = document, ""
    for name in at.split(".") if at else ():
        if type(found) is not dict or name not in found:
            there = ", ".join(sorted(found)[:_WORDS_MAX]) if type(found) is dict else type(found).__name__
            raise Broken(f"there is no {name!r} at {walked or 'its top'}; there is: {there[:300]}")
        found, walked = found[name], f"{walked}.{name}".lstrip(".")
    if found is None:
        return []
    if type(found) is dict:
        return [found]
    if isinstance(found, list):
        return found
    raise Broken(f"at {at or 'its top'} there is no array of records but {type(found).__name__}")


def _next(document: Any, at: str) -> Any:
    """Return what a document says comes next; None when nothing does."""
    value = _walk(document, at.split("."))
    if value is None or value is False or value == "":
        return None
    if type(value) not in (str, int, bool) or len(str(value)) > _MARK_MAX:
        raise Broken(f"at {at} there is neither a text nor a number of at most {_MARK_MAX} characters")
    return str(value) if type(value) is int and value not in _LONG else value


def _walk(value: Any, names: list[str]) -> Any:
    for name in names:
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


def _rank(value: Any) -> Any:
    """Return what values of a cursor are compared by: a moment by when it is, whatever its offset."""
    if type(value) is not str:
        return value
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return value
    return moment.timestamp() if moment.tzinfo is not None else moment.isoformat()
