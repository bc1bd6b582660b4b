"""Dead letters as an input: the records that failed, as they were, to be tried again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from penstock_guest.exact_json import dumps, loads_for
from penstock_guest.reading.errors import InputError

_LETTER_EXTRA_BYTES: Final = 2**20  # beside its record, a letter holds its place and an error
_HINT: Final = "Give a file of dead letters as Penstock writes it."


def records_of_letters(pieces: Iterator[bytes], *, bytes_max: int) -> Iterator[bytes]:
    """Yield the record of each letter as a line of NDJSON; one that could not be read is given as it was found.

    Raises:
        InputError: when a line is not a dead letter.
    """
    held = b""
    number = 0
    for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            number += 1
            yield _record(line, number)
        if len(held) > bytes_max + _LETTER_EXTRA_BYTES:
            raise InputError("input_wrong_format", "a line is longer than any dead letter", line=number + 1, hint=_HINT)
    if held:
        yield _record(held, number + 1)


def _record(line: bytes, number: int) -> bytes:
    try:
        letter = loads_for(line)(line)
        record = dumps(letter["data"]) if "data" in letter else letter["raw"].encode()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError("input_wrong_format", "the line is not a dead letter", line=number, hint=_HINT) from error
    return record.replace(b"\n", b" ") + b"\n"
