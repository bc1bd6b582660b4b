"""What a CSV header line tells: the delimiter, the columns, and with them what a record looks like."""

from __future__ import annotations

import csv
import re
from collections import Counter
from functools import lru_cache
from typing import Final

from penstock_guest.reading.errors import InputError

QUOTED: Final = rb'"[^"]*+(?:""[^"]*+)*+"'
# A field may be as large as a chunk; the module's own bound of 128 KiB would refuse it.
csv.field_size_limit(2**31 - 1)


class Grammar:
    """What a record looks like with one delimiter: RFC 4180, and quotes amid an unquoted field are text."""

    def __init__(self, delimiter: bytes) -> None:
        fill = {b"d": re.escape(delimiter), b"quoted": QUOTED}
        fill[b"field"] = rb'(?:%(quoted)s|(?:[^"%(d)s\r\n][^%(d)s\r\n]*+)?+)' % fill
        self.delimiter = delimiter
        self.record = re.compile(rb"%(field)s(?:%(d)s%(field)s)*+\r*+\n" % fill)
        self.fields_before = re.compile(rb"(?:%(field)s%(d)s)*+" % fill)
        # For the parts outside of quotes, joined by quotes: one begins or ends amid a field. Because the pattern begins
        # with a literal, its search is 25 times as fast as that of `"[^,\r\n"]|[^,\n"]"`.
        self.stray = re.compile(rb'"(?:[^%(d)s\r\n"]|(?<=[^%(d)s\n"]"))' % fill)


@lru_cache(maxsize=8)
def grammar_of(header: bytes) -> Grammar:
    """Return the grammar of a file by its header line, because the rows may hold anything.

    A tab wins over a comma (which a name in TSV may hold), a comma over a semicolon (used where commas are decimal).
    """
    bare = re.sub(QUOTED, b"", header)
    return Grammar(next((delimiter for delimiter in (b"\t", b",", b";") if delimiter in bare), b","))


def header_end(text: bytes) -> int:
    """Return where the header line of a text ends, 0 where it does not: it is no record, or goes on past the text."""
    first_line = text[: text.find(b"\n") + 1]
    header = grammar_of(first_line).record.match(text) if first_line else None
    return header.end() if header else 0


def column_names(header: bytes) -> list[str]:
    """Return the names in a header line; a column without one is called by its place: column_3.

    Raises:
        InputError: when two columns share a name (a record could hold only one of them), or the header is not UTF-8.
    """
    try:
        text = header.decode()
    except UnicodeDecodeError as error:
        hint = "Convert the file first, for example: iconv -f LATIN1 -t UTF-8 IN > OUT"
        message = "the header line is not UTF-8"
        raise InputError("csv_header_invalid", message, line=1, offset_bytes=error.start, hint=hint) from error
    fields = next(csv.reader([text], delimiter=grammar_of(header).delimiter.decode(), strict=True))
    names = [name or f"column_{place}" for place, name in enumerate(fields, 1)]
    if twice := _shared(names):
        raise _not_its_own(f"columns {twice} share their names with others; every column needs its own")
    return names


def require_columns_of_table(header: bytes) -> None:
    """Raise InputError when two columns have names that a table takes for one."""
    if alike := _shared([name.lower() for name in column_names(header)]):
        raise _not_its_own(f"columns {alike} have names that differ in nothing but case; a table has one of them")


def _shared(names: list[str]) -> str:
    """Return the places of columns that share their names; the names might be values of a file without a header."""
    counts = Counter(names)
    return ", ".join(str(place) for place, name in enumerate(names, 1) if counts[name] > 1)


def _not_its_own(message: str) -> InputError:
    hint = "Rename them, or add a header line if the file has none."
    return InputError("csv_header_invalid", message, line=1, hint=hint)
