"""One chunk in, one chunk out: the loop around a script's function, and the account of every record."""

from __future__ import annotations

import base64
import datetime
import decimal
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import orjson

from penstock_guest.child import Output
from penstock_guest.failures import Describer, failure
from penstock_guest.reading import Records, Segment, Undecodable, locate
from penstock_guest.wire import RECORDS, WHOLE_CHUNK

_LINE: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
_FLUSH_RECORDS: Final = 512
DEAD_LETTER_ERRORS_NAMED: Final = 20


class Account:
    """What became of each record of a chunk, its dead letters, and where the output ends."""

    def __init__(self, request: dict[str, Any], output: Output) -> None:
        self._request = request
        self._segments = tuple(Segment(*segment) for segment in request["segments"])
        self.output = output
        self._parts: list[bytes] = []
        self._dead: list[bytes] = []
        self._causes: Counter[tuple[str, str | None, int | None]] = Counter()
        self.records = self.produced = self.dropped = self.rows = 0

    def emit(self, lines: bytes, *, rows: int) -> None:
        """Take finished output lines."""
        self._parts.append(lines)
        self.rows += rows
        if len(self._parts) >= _FLUSH_RECORDS:
            self.flush()

    def flush(self) -> None:
        """Move the finished lines to the output arena."""
        self.output.write(b"".join(self._parts))
        self._parts.clear()

    def fail(self, index: int, line: int, error: dict[str, Any], record: Any) -> None:
        """Make a dead letter of one record.

        Args:
            index: the record's place in the chunk, from 0.
            line: its first text line in the chunk, from 0.
            error: as `failures` makes them.
            record: the record, or the raw bytes where it could not be read.
        """
        self._causes[error["code"], error["type"], error["script_line"]] += 1
        letter = self._position(index, line) | {"error": error}
        letter |= {"raw": record.decode("utf-8", "replace")} if isinstance(record, bytes) else {"data": record}
        self._dead.append(dumps_line(letter))

    def fail_all(self, records: Records, error: dict[str, Any]) -> None:
        """Make dead letters of all readable records of the chunk; the unreadable ones have theirs already."""
        for index, record in enumerate(records):
            if type(record) is not Undecodable:
                self.fail(index, records.line(), error, record)

    def settle(self, records: int, rows: int) -> None:
        """Account for a function that took many records at once: as many as came out are output, the rest were dropped."""
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
            "causes": [[*cause, count] for cause, count in self._causes.most_common(DEAD_LETTER_ERRORS_NAMED)],
        }

    def _position(self, index: int, line: int) -> dict[str, Any]:
        place = locate(self._segments, index, line)
        return {"input": self._request["input"], "member": place.member, "record": place.record, "line": place.line}


def run_each(
    process: Callable[[Any], Any], records: Records, account: Account, request: dict[str, Any], describer: Describer
) -> None:
    """Call process with each record, and take what it returns: a record, a list of records, or None."""
    skip = {int(index): error for index, error in request["skip"].items()}
    mark = account.output.mark
    mark[0] = RECORDS
    emit, records_read = account.emit, -1
    for records_read, record in enumerate(records):
        mark[1] = records_read
        if records_read in skip:
            account.fail(records_read, records.line(), skip[records_read], records.original())
            continue
        if type(record) is Undecodable:
            account.fail(records_read, records.line(), failure(record.code, record.message), records.original())
            continue
        try:
            result = process(record)
        except BaseException as error:  # noqa: BLE001  # tenant code may raise anything; only this record is harmed
            account.fail(records_read, records.line(), describer.describe(error), records.original())
            continue
        if result is None:
            account.dropped += 1
            continue
        try:
            lines, rows = as_lines(result)
        except Exception as error:  # noqa: BLE001  # objects of the tenant's own classes are serialised here
            account.fail(
                records_read, records.line(), describer.describe(error, code="output_invalid"), records.original()
            )
            continue
        account.produced += 1
        emit(lines, rows=rows)
    account.records = records_read + 1
    mark[0] = WHOLE_CHUNK


def run_batch(process_batch: Callable[[Any], Any], records: Records, account: Account, describer: Describer) -> None:
    """Call process_batch once with the chunk's readable records; when it fails, they fail together."""
    account.output.mark[0] = WHOLE_CHUNK
    readable = []
    for index, record in enumerate(records):
        account.records += 1
        if type(record) is Undecodable:
            account.fail(index, records.line(), failure(record.code, record.message), records.original())
        else:
            readable.append(record)
    try:
        result = process_batch(readable)
        lines, rows = as_lines([] if result is None else result)
    except BaseException as error:  # noqa: BLE001  # as above; the whole batch is one call
        account.fail_all(records, describer.describe(error))
        return
    account.settle(len(readable), rows)
    account.emit(lines, rows=rows)


def as_lines(result: Any) -> tuple[bytes, int]:
    """Return what a function returned as output lines, and how many records they are.

    Raises:
        TypeError: when it is neither a record nor a list of records, or a record holds what JSON has no form for.
    """
    if isinstance(result, dict):
        return dumps_line(result), 1
    if isinstance(result, list):
        for record in result:
            if not isinstance(record, dict):
                raise TypeError(f"the list returned holds a {type(record).__name__}; every record is a dict")
        return b"".join(map(dumps_line, result)), len(result)
    raise TypeError(
        f"a {type(result).__name__} was returned; valid: a record (dict), a list of records, None to drop it"
    )


def dumps_line(value: Any) -> bytes:
    """Return a value as one line of JSON; Decimal becomes text so that no digit is lost.

    Raises:
        TypeError: when the value holds what JSON has no form for; the message names the type.
    """
    return orjson.dumps(value, _as_json, _LINE)


def _as_json(value: Any) -> Any:
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(
        f"a record cannot hold a {type(value).__name__}; valid: text, numbers, booleans, None, dates, lists, dicts"
    )
