"""Cuts CSV into records without parsing it: only quotes matter, because a line end between two of them ends no record.

Most text has no quote at all: then lines are records. Where quotes stand as RFC 4180 says, they split the text into
parts that lie outside and inside of quotes in turn; with the line ends of the inside parts masked, only those are left
that end a record. Whatever remains (a quote amid a field, a quote that never closes) is walked record by record with a
grammar, so that a bad record ends where its line ends, and the next line is read again. What the grammar lets through,
`csv.reader(strict=True)` accepts.
"""

from __future__ import annotations

import re
from typing import Final

from penstock_guest.reading.blocks import RAW_BYTES_MAX, Broken
from penstock_guest.reading.csv_header import QUOTED, Grammar, column_names, grammar_of, header_end
from penstock_guest.reading.errors import InputError
from penstock_guest.reading.lines import LineCutter, Span, count_lines, spans
from penstock_guest.reading.window import Window

BLANKS: Final = b"\r"
_QUOTED: Final = re.compile(QUOTED)
_BLANK_LINES: Final = re.compile(rb"(?:\r*+\n)*+")
_RETURNS_TO_END: Final = re.compile(rb"\r*+\Z")
_STRAY_RETURN: Final = re.compile(rb"\r(?:[^\r\n]|\Z)")  # one that ends no line
# Past this, a window holds one long record, which is walked in flat memory; a mask needs up to 90 bytes for each quote.
_MASKED_BYTES_MAX: Final = 512 * 1024
_PLACEHOLDER: Final = b"\0"  # for a masked line end; a window refuses text that has it


def cut_csv(window: Window, *, bytes_max: int) -> LineCutter:
    """Return a cutter for a CSV file, past its header line; an empty file has an empty header and no records.

    Raises:
        InputError: when the header line cannot be read.
    """
    blank_lines = _drop_blank_lines(window)
    header = _take_header(window, bytes_max)
    return LineCutter(
        window,
        _Scanner(grammar_of(header)).scan,
        format="csv",
        header=header.rstrip(b"\r\n"),
        first_line=1 + blank_lines + count_lines(header),
        record_bytes_max=bytes_max - len(header),
    )


def _drop_blank_lines(window: Window) -> int:
    lines = 0
    while blank := _BLANK_LINES.match(window.text)[0]:  # type: ignore[index]  # it matches nothing at least
        lines += count_lines(blank)
        window.drop(len(blank))
        window.grow()
    return lines


def _take_header(window: Window, bytes_max: int) -> bytes:
    while window.text:
        end = header_end(window.text)
        if 0 < end < bytes_max:
            header = window.text[:end]
            window.drop(end)
            column_names(header.rstrip(b"\r\n"))
            return header
        if window.final or len(window.text) > bytes_max:
            raise _header_error(window.text[: window.text.find(b"\n") + 1], bytes_max)
        window.grow()
    return b""


def _header_error(first_line: bytes, bytes_max: int) -> InputError:
    if not 0 < len(first_line) < bytes_max:
        found, hint = f"no line end in the first {bytes_max:,} bytes", "Check that this is a CSV file."
    elif b"\r" in first_line.rstrip(b"\r\n"):
        found, hint = "a carriage return that ends no line", r"End lines with \n, for example: tr '\r' '\n' < IN > OUT"
    else:
        found, hint = "a quote that does not close", "Write a quote inside a quoted name twice."
    return InputError("csv_header_invalid", f"expected a header line, found {found}", line=1, hint=hint)


class _Scanner:
    """Finds records by one grammar."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar

    def scan(self, text: bytes, complete: bool, /) -> tuple[list[Span | Broken], int]:  # noqa: FBT001  # the shape of a Scan
        """Find the records of a text."""
        if b'"' not in text and not _has_stray_return(text):
            return spans(text, blanks=BLANKS)
        mask = self._mask(text) if len(text) <= _MASKED_BYTES_MAX else None
        if mask is None:
            return self._walk(text, complete=complete)
        end = mask.rfind(b"\n") + 1
        if not end and complete:
            return self._walk(text, complete=True)
        return ([Span(text[:end], mask[:end], blanks=BLANKS)] if end else []), end

    def _mask(self, text: bytes) -> bytes | None:
        """Return the text with other bytes for line ends inside quotes, None where quotes are not as RFC 4180 says."""
        parts = text.split(b'"')
        outside = b'"'.join(parts[::2])
        if len(parts) % 2 == 0:
            outside += b'"'
        if self._grammar.stray.search(outside) or _has_stray_return(outside):
            return None
        inside = b'"'.join(parts[1::2])
        if b"\n" not in inside:
            return text
        parts[1::2] = inside.replace(b"\n", _PLACEHOLDER).split(b'"')
        return b'"'.join(parts)

    def _walk(self, text: bytes, *, complete: bool) -> tuple[list[Span | Broken], int]:
        """Find the records one by one, up to the first that needs more text than there is."""
        found: list[Span | Broken] = []
        at = 0
        while at < len(text):
            span = self._walk_span(text, at)
            if span:
                found.append(Span(span[0], span[1], blanks=BLANKS))
                at += len(span[0])
            if at == len(text):
                break
            broken = self._broken(text, at, complete=complete and at == 0)
            if broken is None:
                break
            found.append(broken[0])
            at = broken[1]
        return found, at

    def _walk_span(self, text: bytes, start: int) -> tuple[bytes, bytes] | None:
        """Return the text and the mask of the good records from a place on."""
        masked = []
        at = start
        while record := self._grammar.record.match(text, at):
            masked.append(record[0][:-1].replace(b"\n", _PLACEHOLDER))
            at = record.end()
        if not masked:
            return None
        whole, mask = text[start:at], b"\n".join([*masked, b""])
        return whole, whole if whole == mask else mask

    def _broken(self, text: bytes, at: int, *, complete: bool) -> tuple[Broken, int] | None:
        """Return what is no record, up to the end of the line at fault; None where more text may mend it."""
        start = self._grammar.fields_before.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing at least
        end = text.find(b"\n", start) + 1
        if not end:
            return None
        number = 1 + re.sub(QUOTED, b"", text[at:start]).count(self._grammar.delimiter)
        message = f"field {number} holds a carriage return; it must be quoted"
        if text.startswith(b'"', start):
            closed = _QUOTED.match(text, start)
            if closed is None and not complete:
                return None
            if closed and _RETURNS_TO_END.match(text, closed.end()):
                return None
            message = f"the quote that opens field {number} is never closed"
            if closed:
                message = (
                    f"text follows the closing quote of field {number}; a quote inside a quoted field is written twice"
                )
        raw = text[at:end]
        return Broken(
            "csv_record_invalid", message, raw[:RAW_BYTES_MAX], count_lines(raw), count_lines(text[at:start])
        ), end


def _has_stray_return(text: bytes) -> bool:
    return (
        b"\r" in text and _STRAY_RETURN.search(text) is not None
    )  # the first is ten times as fast where there is none
