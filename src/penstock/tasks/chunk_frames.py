"""Chunks as bytes, so that one can be read by one worker and run by another with nothing changed.

A frame is one line of JSON, then the dead letters of records that could not be cut out, then the payload.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import orjson

from penstock.core.errors import Bug
from penstock.core.scripts import Cause, Chunk


def pack(chunk: Chunk) -> list[bytes]:
    """Return a frame in pieces, so that the payload is not copied."""
    header = {
        "input": chunk.input,
        "format": chunk.format,
        "records": chunk.records,
        "segments": chunk.segments,
        "unreadable": [astuple(cause) for cause in chunk.unreadable],
        "dead_letters_bytes": len(chunk.dead_letters),
        "payload_bytes": len(chunk.payload),
        "position_bytes": chunk.position_bytes,
    }
    return [orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE), chunk.dead_letters, chunk.payload]


def unpack(frame: bytes) -> Chunk:
    """Return the chunk of a frame.

    Raises:
        Bug: when the frame is not as it was written.
    """
    end = frame.find(b"\n") + 1
    try:
        header: dict[str, Any] = orjson.loads(frame[:end])
        middle = end + header["dead_letters_bytes"]
        if len(frame) != middle + header["payload_bytes"]:
            raise ValueError("sizes do not add up")
        return Chunk(
            input=header["input"],
            format=header["format"],
            payload=frame[middle:],
            records=header["records"],
            segments=tuple(tuple(segment) for segment in header["segments"]),
            unreadable=tuple(Cause(*cause) for cause in header["unreadable"]),
            dead_letters=frame[end:middle],
            position_bytes=header["position_bytes"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Bug("the blob of a chunk is not as it was written", hint="Check the blob store; then retry.") from error
