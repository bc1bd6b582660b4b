"""One chunk in, one chunk out: the loop around a script's function, and the account of every record."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import fractions
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

import orjson

from penstock_guest import exact_json
from penstock_guest.child import Output
from penstock_guest.failures import Describer, OutputFull, failure
from penstock_guest.finite import require_finite
from penstock_guest.reading import Records, Segment, Undecodable, decode, locate
from penstock_guest.wire import RECORDS, WHOLE_CHUNK

_LINE: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
_FLUSH_RECORDS: Final = 512
CAUSES_MAX: Final = 50
REHEARSALS: Final = 50
# A request that means nothing.
REHEARSED: Final = memoryview(b'{"a": 1}\n')
REHEARSAL: Final[dict[str, Any]] = {
    "format": "ndjson",
    "input": "",
    "input_bytes": len(REHEARSED),
    "segments": [[None, 1, 1, 1, 1]],
    "seed": 0,
    "emit": "ndjson",
    "skip": {},
    "rest": None,
    "careful": False,
}
_NOTHING: Final[dict[int, dict[str, Any]]] = {}


class WrittenLater(Protocol):
    """Output of a chunk that is not made before its place is known."""

    def __len__(self) -> int:
        """Return how many bytes it takes."""

    def write_to(self, memory: memoryview) -> None:
        """Write it into memory of its size."""


class Account:
    """What became of each record of a chunk, its dead letters, and where the output ends."""

    def __init__(self, request: dict[str, Any], output: Output) -> None:
        self._input = request["input"]
        self._segments = request["segments"]
        skip = request["skip"]
        self.skip: dict[int, dict[str, Any]] = {int(at): error for at, error in skip.items()} if skip else _NOTHING
        if rest := request.get("rest"):
            everything = range(sum(segment.records for segment in self._places()))
            self.skip = dict.fromkeys(everything, rest) | self.skip
        self.output = output
        self._parts: list[bytes] = []
        self._written_later: WrittenLater | None = None
        self._dead: list[bytes] = []
        self._causes: dict[tuple[str, str | None, int | None], int] = {}
        self._room_bytes = output.records_bytes_max
        self.records = self.produced = self.dropped = self.rows = 0

    def emit(self, lines: bytes | WrittenLater, rows: int) -> None:
        """Take finished output lines, or raise OutputFull when they are more than the chunk may have."""
        if len(lines) > self._room_bytes:
            raise OutputFull(self.output.records_bytes_max)
        self._room_bytes -= len(lines)
        self.rows += rows
        if not isinstance(lines, bytes):
            self._written_later = lines  # there is one for a chunk at most, and nothing besides
            return
        self._parts.append(lines)
        if len(self._parts) >= _FLUSH_RECORDS:
            self.flush()

    def flush(self) -> None:
        """Move the finished lines to the output arena."""
        self.output.write(b"".join(self._parts))
        self._parts = []
        if self._written_later is not None:
            self._written_later.write_to(self.output.reserve(len(self._written_later)))

    def fail(self, index: int, records: Records, error: dict[str, Any]) -> None:
        """Make a dead letter of the record last yielded, the index-th of the chunk from 0."""
        cause = error["code"], error["type"], error["script_line"]
        self._causes[cause] = self._causes.get(cause, 0) + 1
        place = locate(self._places(), index, records.line())
        letter = {
            "input": self._input,
            "member": place.member,
            "record": place.record,
            "line": place.line,
            "error": error,
        }
        record = records.original()
        letter |= {"raw": record.decode("utf-8", "replace")} if isinstance(record, bytes) else {"data": record}
        self._dead.append(dumps_line(letter))

    def _first_causes(self) -> list[list[Any]]:
        return [[*cause, count] for cause, count in islice(self._causes.items(), CAUSES_MAX)]

    def _places(self) -> tuple[Segment, ...]:
        return tuple(Segment(*segment) for segment in self._segments)

    def fail_all(self, records: Records, error: dict[str, Any]) -> None:
        """Make dead letters of all readable records of the chunk; the unreadable ones have theirs already."""
        for index, record in enumerate(records):
            if type(record) is not Undecodable and index not in self.skip:
                self.fail(index, records, error)

    def settle(self, records: int, rows: int) -> None:
        """Account for a function that took many records at once: as many as came out produced, the rest dropped."""
        self.produced = min(records, rows)
        self.dropped = records - self.produced

    def reply(self) -> dict[str, Any]:
        """Flush everything and return the account, as the service expects it."""
        self.flush()
        output_bytes = self.output.size_bytes
        self.output.write(b"".join(self._dead))
        return {
            "output_bytes": output_bytes,
            "dead_bytes": self.output.size_bytes - output_bytes,
            "records": self.records,
            "produced": self.produced,
            "dropped": self.dropped,
            "failed": len(self._dead),
            "rows": self.rows,
            "causes": self._first_causes() if self._causes else [],
        }


def rehearse(output: Output) -> None:
    """Walk through a request that means nothing, so that the first real one finds its pages touched."""
    account = Account(REHEARSAL, output)
    run_each(SAME, decode("ndjson", REHEARSED), account)
    orjson.loads(orjson.dumps(account.reply()))
    output.reset()


Encoder = Callable[[Any], tuple[bytes | WrittenLater, int]]


@dataclass(slots=True)
class Call:
    """A script's function, in whatever language it is written.

    Attributes:
        function: takes a record (or the list of a chunk's records) and returns something, or None to drop it.
        lines_of: turns what it returned into output lines and their number; raises TypeError where it cannot.
        describer: describes what either raises.
    """

    function: Callable[[Any], Any]
    lines_of: Encoder
    describer: Describer


def run_each(call: Call, records: Records, account: Account) -> None:
    """Call a function with each record in turn."""
    function, lines_of, describe = call.function, call.lines_of, call.describer.describe
    mark, skip, emit = account.output.mark, account.skip, account.emit
    mark[0] = RECORDS
    index = -1
    for index, record in enumerate(records):
        mark[1] = index
        if index in skip or type(record) is Undecodable:
            account.fail(index, records, _known(skip.get(index), record))
            continue
        try:
            result = function(record)
        except BaseException as error:  # noqa: BLE001  # tenant code may raise anything; only this record is harmed
            account.fail(index, records, describe(error))
            continue
        if result is None:
            account.dropped += 1
            continue
        try:
            lines, rows = lines_of(result)
            emit(lines, rows)
        except Exception as error:  # noqa: BLE001  # what is turned into lines may be objects of tenant classes
            account.fail(index, records, describe(error, code="output_invalid"))
            continue
        account.produced += 1
    account.records = index + 1
    mark[0] = WHOLE_CHUNK


def run_batch(call: Call, records: Records, account: Account) -> None:
    """Call a function once with the chunk's readable records; when it fails, they fail together."""
    account.output.mark[0] = WHOLE_CHUNK
    batch = readable(records, account)
    if not batch:
        return
    try:
        result = call.function(batch)
        lines, rows = call.lines_of(result) if result is not None else (b"", 0)
        account.emit(lines, rows)
    except BaseException as error:  # noqa: BLE001  # as above; the whole batch is one call
        account.fail_all(records, call.describer.describe(error))
        return
    account.settle(len(batch), rows)


def readable(records: Records, account: Account) -> list[Any]:
    """Return the records that a batch can be made of; the others fail."""
    batch = []
    for index, record in enumerate(records):
        account.records += 1
        if index in account.skip or type(record) is Undecodable:
            account.fail(index, records, _known(account.skip.get(index), record))
        else:
            batch.append(record)
    return batch


def _known(error: dict[str, Any] | None, record: Any) -> dict[str, Any]:
    return failure(record.code, record.message) if type(record) is Undecodable or error is None else error


def as_lines(result: Any) -> tuple[bytes, int]:
    """Return what a function returned as output lines, and how many records they are.

    Raises:
        TypeError: when it is neither a record nor a list of records, or a record holds what JSON has no form for.
    """
    if isinstance(result, dict):
        line = dumps_line(result)
        require_finite(result, line)
        return line, 1
    if isinstance(result, list):
        for record in result:
            if not isinstance(record, dict):
                raise TypeError(
                    f"the script returned a list that holds {type(record).__name__}; every record is a dict"
                )
        lines = b"".join(map(dumps_line, result))
        require_finite(result, lines)
        return lines, len(result)
    raise TypeError(
        f"the script returned {type(result).__name__}; valid: a record (dict), a list of them, None to drop it"
    )


def dumps_line(value: Any) -> bytes:
    """Return a value as one line of JSON; Decimal becomes text so that no digit is lost.

    Raises:
        TypeError: when the value holds what JSON has no form for; the message names the type.
    """
    try:
        return orjson.dumps(value, _as_json, _LINE)
    except orjson.JSONEncodeError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        return exact_json.dumps_refused(value, error, _as_json) + b"\n"


def _as_json(value: Any) -> Any:
    for kind in type(value).__mro__:
        if kind in _PLAIN:
            return _PLAIN[kind](value)
    raise TypeError(
        f"a record cannot hold {type(value).__name__}; valid: text, numbers, true, false, None, dates, lists, dicts"
    )


def _base64(value: bytes | bytearray | memoryview) -> str:
    return base64.b64encode(value).decode()


_PLAIN: Final[dict[type, Callable[[Any], Any]]] = {
    decimal.Decimal: str,
    fractions.Fraction: str,
    dt.timedelta: dt.timedelta.total_seconds,
    bytes: _base64,
    bytearray: _base64,
    memoryview: _base64,
    set: sorted,
    frozenset: sorted,
}
SAME: Final = Call(lambda record: record, as_lines, Describer("", {}))
