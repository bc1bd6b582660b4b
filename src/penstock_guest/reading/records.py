"""Decodes a chunk into records for a script; one that cannot be decoded is a value, so that the loop goes on."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import orjson

from penstock_guest import exact_json
from penstock_guest.reading.csv_header import column_names, grammar_of, header_end
from penstock_guest.reading.lines import NDJSON_BLANKS

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands for a record that cannot be decoded: a stable code, what was found and expected; none of its values."""

    code: str
    message: str


class Records(Protocol):
    """A chunk's records; each iteration starts from the first."""

    def __iter__(self) -> Iterator[Record | Undecodable]:
        """Yield each record, or an Undecodable in its place."""

    def original(self) -> Record | bytes:
        """Return the record last yielded as it came, whatever was done to it since; its text if it is undecodable."""

    def line(self) -> int:
        """Return the text line where the record last yielded begins, from 0; a CSV header does not count."""


def decode(format: Literal["ndjson", "csv"], payload: bytes | memoryview) -> Records:  # noqa: A002  # the word of the glossary
    """Return the records of a chunk."""
    return CsvRecords(bytes(payload)) if format == "csv" else NdjsonRecords(bytes(payload))


class NdjsonRecords:
    """One JSON object a line."""

    def __init__(self, payload: bytes) -> None:
        self._lines = payload.split(b"\n")
        if not self._lines[-1]:
            self._lines.pop()  # the end of the last line, and nothing that has to be tried
        self._line = 0
        self._loads = exact_json.loads_for(payload)

    def __iter__(self) -> Iterator[Record | Undecodable]:
        """Yield each record, or an Undecodable in its place."""
        loads = self._loads
        for number, text in enumerate(self._lines):
            self._line = number
            try:
                record = loads(text)
            except orjson.JSONDecodeError as error:
                if text.strip(NDJSON_BLANKS):
                    yield Undecodable("ndjson_record_invalid", f"the line is not valid JSON: {error.msg}")
                continue
            yield record if type(record) is dict else _no_object(record)

    def original(self) -> Record | bytes:
        """Return the record last yielded as it came; its text where it cannot be decoded."""
        text = self._lines[self._line]
        try:
            record = self._loads(text)
        except orjson.JSONDecodeError:
            return text
        return record if type(record) is dict else text

    def line(self) -> int:
        """Return the line of the record last yielded, from 0."""
        return self._line


_JSON_NAMES: Final = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _no_object(value: object) -> Undecodable:
    return Undecodable("ndjson_record_invalid", f"a record is a JSON object; found {_JSON_NAMES[type(value)]}")


class CsvRecords:
    """Text under the names of a header line, None where there is none.

    A line without quotes is split at its delimiters, in half the time that the csv module takes; that gets the others.
    """

    def __init__(self, payload: bytes) -> None:
        end = header_end(payload)
        header = payload[:end].rstrip(b"\r\n")
        self._names = column_names(header) if end else []
        self._delimiter = grammar_of(header).delimiter.decode()
        try:
            text, self._is_utf8 = payload[end:].decode(), True
        except UnicodeDecodeError:
            text, self._is_utf8 = payload[end:].decode("utf-8", "surrogateescape"), False
        self._has_returns = "\r" in text
        self._lines = text.split("\n")
        self._line = 0
        self._lines_quoted = 1
        self._row: Sequence[str | None] | None = None

    def __iter__(self) -> Iterator[Record | Undecodable]:
        """Yield each record, or an Undecodable in its place."""
        names, width, delimiter, is_utf8 = self._names, len(self._names), self._delimiter, self._is_utf8
        numbered = enumerate(self._lines)
        quoted: list[str] = []
        reader = csv.reader(_feed(quoted, numbered), delimiter=delimiter, strict=True)
        for number, text in numbered:
            self._line = number
            if '"' in text:
                quoted.append(text)
                row = self._next_row(reader)
            else:
                if self._has_returns:
                    text = text.rstrip("\r")
                if not text:
                    continue
                row = text.split(delimiter)
            if len(row) != width or not (is_utf8 or _is_utf8(row)):
                self._row = None
                yield self._undecodable(row)
                continue
            self._row = [field or None for field in row] if "" in row else row
            yield dict(zip(names, self._row, strict=False))

    def original(self) -> Record | bytes:
        """Return the record last yielded as it came; its text where it cannot be decoded."""
        if self._row is not None:
            return dict(zip(self._names, self._row, strict=True))
        lines = self._lines_quoted if '"' in self._lines[self._line] else 1
        return "\n".join(self._lines[self._line : self._line + lines]).encode("utf-8", "surrogateescape")

    def line(self) -> int:
        """Return the line where the record last yielded begins, from 0."""
        return self._line

    def _next_row(self, reader: Any) -> list[str]:
        before = reader.line_num
        try:
            return next(reader)
        except csv.Error:
            return []
        finally:
            self._lines_quoted = reader.line_num - before

    def _undecodable(self, row: list[str]) -> Undecodable:
        found, expected = len(row), len(self._names)
        message = "the record is not valid CSV"
        if found == expected:
            message = "the record is not UTF-8"
        elif found:
            message = f"expected {expected} fields, as the header has, found {found}"
        return Undecodable("csv_record_invalid", message)


def _feed(first: list[str], numbered: Iterator[tuple[int, str]]) -> Iterator[str]:
    """Yield the line that is put into the list, then as many more as a quoted field goes on over."""
    while True:
        _, line = (0, first.pop()) if first else next(numbered, (0, None))
        if line is None:
            return
        yield line + "\n"


def _is_utf8(row: list[str]) -> bool:
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return False
    return True
