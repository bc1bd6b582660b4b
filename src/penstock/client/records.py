"""Records as JSON and back: every digit of a whole number, and nothing that JSON has no word for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from penstock.core.errors import RequestInvalid


def record_lines(records: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Return each record as one line of JSON, without its end.

    Written by the standard library: orjson makes null of NaN without a word, and refuses whole numbers past 64 bits.

    Args:
        records: objects; dates, times and ids in them become text.

    Raises:
        RequestInvalid: when they are one text or one object, or hold what JSON has no word for.
    """
    if isinstance(records, str | bytes | Mapping):
        raise RequestInvalid(
            f"records are a list of objects, or a Path; found a {type(records).__name__}",
            hint='Send [{"id": 1}], or a file as pathlib.Path("orders.csv").',
        )
    return [_line(record, place) for place, record in enumerate(records)]


def read_records(text: bytes) -> list[Any]:
    """Return the records of NDJSON as objects, with all digits of whole numbers, which orjson would round."""
    return [json.loads(line) for line in text.splitlines()]


def _line(record: Any, place: int) -> bytes:
    try:
        return json.dumps(record, allow_nan=False, default=_plain, separators=(",", ":")).encode()
    except ValueError as error:
        raise RequestInvalid(
            f"records[{place}] holds NaN, an infinity or itself, for which JSON has no word",
            hint="Send null or a text in its place.",
        ) from error
    except TypeError as error:
        raise RequestInvalid(
            f"records[{place}] is not JSON: {error}", hint="Send texts, numbers, true, false, null, lists and objects."
        ) from error


def _plain(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value))
