"""Reading footers of Parquet files in locked children: this side moves bytes, and checks what comes back."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from penstock.core import limits
from penstock.core.columns import Column, ColumnType, ListType, MapType, StructType, refusal
from penstock.core.errors import FileRefused
from penstock.core.tables import ColumnFacts, FileFacts
from penstock.sandbox.children import Children, Death
from penstock.sandbox.strict import StrictSandbox

_MIB: Final = 2**20
_MAGIC: Final = b"PAR1"
_END_BYTES: Final = 8  # of a file: how long its metadata is, and the magic
_EXACT_TEXT_MAX: Final = 64  # some writers cut longer texts in their statistics
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_RANGES: Final = {"int": 2**31, "long": 2**63, "date": 2**31, "timestamp": 2**63, "timestamptz": 2**63}
_DEPTH_MAX: Final = 32
_SPEC: Final = {
    "program": "footers",
    "name": "the footers of Parquet files",
    "warm": False,  # of one attempt's files no other's child hears
    "input_bytes": limits.FOOTERS.value * _MIB,
    "records_bytes": 4 * limits.FOOTERS.value * _MIB,
    "output_bytes": 4 * limits.FOOTERS.value * _MIB,
    "reply_bytes": 2**16,
    "wall_s": limits.WALL.value,
    "cpu_s": limits.CPU.value,
    "memory_bytes": limits.CARRIER_MEMORY.value * _MIB,
}


class LockedFooters:
    """Reads footers in children of the strict sandbox, those of one call in one child.

    Args:
        sandbox: whose children they are; it is closed by whoever opened it.
    """

    def __init__(self, sandbox: StrictSandbox) -> None:
        self._sandbox = sandbox
        self._children: Children | None = None
        self._starting = threading.Lock()

    def __call__(self, paths: Sequence[Path]) -> list[FileFacts]:
        """Return what each file's footer says.

        Raises:
            FileRefused: when a file is no Parquet, or what is said of it makes no sense.
            SchemaRefused: when a column has a type that has no place in a table.
        """
        tails = [_tail(path) for path in paths]
        return [facts for part in _parts(paths, tails) for facts in self._read(part)]

    def close(self) -> None:
        """End the children."""
        with self._starting:
            if self._children is not None:
                self._children.close()
                self._children = None

    def _read(self, part: Sequence[tuple[Path, bytes, int]]) -> Iterator[FileFacts]:
        sizes = [len(tail) for _, tail, _ in part]
        reply = self._ready().run({"sizes": sizes}, b"".join(tail for _, tail, _ in part))
        if isinstance(reply, Death):
            raise FileRefused(
                f"the process that read the footers of {part[0][0].name} and {len(part) - 1} more ended"
                f" ({reply.detail})",
                hint="Look at what wrote these files.",
            )
        try:
            said = orjson.loads(reply.output)
            if len(said) != len(part):
                raise ValueError("another number of files")
            facts = [_facts(path, each, size_bytes=size) for (path, _, size), each in zip(part, said, strict=True)]
        except (LookupError, TypeError, ArithmeticError, ValueError, AttributeError, RecursionError) as error:
            raise FileRefused(
                f"what is said of {part[0][0].name} and {len(part) - 1} more makes no sense: {type(error).__name__}",
                hint="Look at what wrote these files.",
            ) from error
        yield from facts

    def _ready(self) -> Children:
        with self._starting:
            if self._children is not None and not self._children.alive:
                self._children.close()
                self._children = None
            if self._children is None:
                self._children = self._sandbox.start_program("arrow", _SPEC, seats=2)
            return self._children


def _tail(path: Path) -> tuple[bytes, int]:
    """Return a file's end, from its metadata on, and its size."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise FileRefused(f"{path.name}: {error.strerror}", hint="Name files that the engine has written.") from error
    try:
        size = os.fstat(number).st_size
        end = os.pread(number, _END_BYTES, max(0, size - _END_BYTES))
        length = int.from_bytes(end[:4], "little") + _END_BYTES
        if end[4:] != _MAGIC or not _END_BYTES < length <= size - len(_MAGIC):
            raise FileRefused(
                f"{path.name} cannot be read as Parquet: it has no end", hint="Write it again, and close it."
            )
        if length > limits.FOOTERS.value * _MIB:
            raise FileRefused(
                f"{path.name}: its footer has {length:,} bytes, more than {limits.FOOTERS.value} MiB",
                hint="Write larger row groups, or fewer columns.",
            )
        return os.pread(number, length, size - length), size
    finally:
        os.close(number)


def _parts(paths: Sequence[Path], tails: Sequence[tuple[bytes, int]]) -> Iterator[list[tuple[Path, bytes, int]]]:
    """Yield files whose footers fit into one request together."""
    part: list[tuple[Path, bytes, int]] = []
    total = 0
    for path, (tail, size) in zip(paths, tails, strict=True):
        if part and total + len(tail) > limits.FOOTERS.value * _MIB:
            yield part
            part, total = [], 0
        part.append((path, tail, size))
        total += len(tail)
    if part:
        yield part


def _facts(path: Path, said: Mapping[str, Any], *, size_bytes: int) -> FileFacts:
    if "broken" in said:
        words = "".join(letter if letter.isprintable() else " " for letter in str(said["broken"])[:200])
        raise FileRefused(f"{path.name} cannot be read as Parquet: {words}", hint="Write it again, and close it.")
    problems: list[tuple[str, str]] = []
    columns = tuple(_column(each, problems, depth=0) for each in said["columns"])
    if problems:
        raise refusal(problems)
    kinds = {column.id: str(column.type) for column in columns if isinstance(column.type, str)}
    facts: dict[int, ColumnFacts] = {}
    for number, size, values, nulls, low, high in said["facts"]:
        new = _of_chunk(kinds[number], _whole(size), _whole(values), nulls, low, high)
        known = facts.get(number)
        facts[number] = new if known is None else known.together(new)
    return FileFacts(
        rows=_whole(said["rows"]),
        size_bytes=size_bytes,
        columns=columns,
        facts=facts,
        split_offsets=tuple(_whole(offset) for offset in said["offsets"]),
    )


def _column(said: Any, problems: list[tuple[str, str]], *, depth: int) -> Column:
    name, kind, number = said
    if not isinstance(name, str) or depth > _DEPTH_MAX:
        raise ValueError("a name")
    return Column(name, _type(kind, problems, name, depth), _whole(number))


def _type(said: Any, problems: list[tuple[str, str]], place: str, depth: int) -> ColumnType:
    match said:
        case str():
            return said
        case {"struct": list(fields)}:
            return StructType(tuple(_column(field, problems, depth=depth + 1) for field in fields))
        case {"list": element}:
            return ListType(_column(element, problems, depth=depth + 1))
        case {"map": [key, value]}:
            return MapType(_column(key, problems, depth=depth + 1), _column(value, problems, depth=depth + 1))
        case {"arrow": str(name)}:
            problems.append((place, f"there is no place in a table for the type {name}"))
            return "string"
    raise ValueError("a type")


def _of_chunk(kind: str, size: int, values: int, nulls: Any, low: Any, high: Any) -> ColumnFacts:
    nulls = None if nulls is None else _whole(nulls)
    if low is None or high is None:
        return ColumnFacts(size, values, nulls, exact=nulls == values)
    exact = not (isinstance(high, str) and max(len(low.encode()), len(high.encode())) >= _EXACT_TEXT_MAX)
    return ColumnFacts(size, values, nulls, _bound(kind, low), _bound(kind, high), exact)


def _bound(kind: str, said: Any) -> Any:
    """Return a bound as a value of its column; what cannot be one is an error."""
    if kind in _RANGES:
        number = _number(said)
        if not -_RANGES[kind] <= number < _RANGES[kind]:
            raise ValueError("a number out of its range")
        if kind == "date":
            return (_EPOCH + dt.timedelta(days=number)).date()
        if kind in ("timestamp", "timestamptz"):
            moment = _EPOCH + dt.timedelta(microseconds=number)
            return moment if kind == "timestamptz" else moment.replace(tzinfo=None)
        return number
    wanted = {"boolean": bool, "string": str, "float": float, "double": float}[kind]
    if type(said) is not wanted:
        raise TypeError("a bound of another type")
    return said


def _whole(said: Any) -> int:
    if _number(said) < 0:
        raise ValueError("a negative number")
    return int(said)


def _number(said: Any) -> int:
    if type(said) is not int:
        raise TypeError("no number")
    return said
