"""What a supervisor and its runners say to each other: frames of JSON with bytes behind it.

A frame is two lengths of four bytes, a JSON object, and the bytes that belong to it. Nothing of it is pickled, and
nothing that a tenant sent is looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import orjson

from penstock.core import limits
from penstock.core.access import Policy, WorkspaceId
from penstock.core.errors import Bug
from penstock.core.jobs import AttemptReport, BlobPointer, Entry, EntryId, JobInput, Lease
from penstock.core.scripts import ScriptLimits, ScriptVersion
from penstock.core.work import Assignment, Message, Piece

_HEAD: Final = struct.Struct("!II")
_FRAME_BYTES_MAX: Final = limits.WORKER_FRAME.value * 2**20
Frame = tuple[dict[str, Any], bytes]


def frame(header: Mapping[str, Any], tail: bytes = b"") -> bytes:
    """Return a frame."""
    text = orjson.dumps(header)
    return _HEAD.pack(len(text), len(tail)) + text + tail


class Frames:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete now.

        Raises:
            Bug: when a frame is longer than any is.
        """
        self._rest += data
        while len(self._rest) >= _HEAD.size:
            sizes = _HEAD.unpack_from(self._rest)
            end = _HEAD.size + sum(sizes)
            if end > _FRAME_BYTES_MAX:
                raise Bug(f"a frame of {end:,} bytes is longer than any", hint="Report this line.")
            if len(self._rest) < end:
                return
            text = bytes(self._rest[_HEAD.size : _HEAD.size + sizes[0]])
            tail = bytes(self._rest[_HEAD.size + sizes[0] : end])
            del self._rest[:end]
            yield orjson.loads(text), tail


# ---- to a runner ----


def script_key(assignment: Assignment) -> str:
    """Return what a script version is known by to a runner: the same code of two scripts has two names."""
    entry = assignment.lease.entry
    return f"{entry.workspace}/{entry.lane}/{assignment.version_id}"


def script_frame(assignment: Assignment, script: ScriptVersion) -> bytes:
    """Return what makes the script version of an assignment known to a runner."""
    header = {
        "say": "script",
        "key": script_key(assignment),
        "name": script.name,
        "language": script.language,
        "profile": script.profile,
        "tier": script.tier,
        "limits": asdict(script.limits),
        "input_schema": script.input_schema,
        "output_schema": script.output_schema,
        "limits_from": script.limits_from,
    }
    return frame(header, script.source)


def read_script(header: Mapping[str, Any], source: bytes) -> ScriptVersion:
    """Return the script version of a frame."""
    return ScriptVersion(
        header["name"],
        source,
        header["language"],
        header["profile"],
        header["tier"],
        ScriptLimits(**header["limits"]),
        header["input_schema"],
        header["output_schema"],
        header["limits_from"],
    )


def run_frame(assignment: Assignment, *, guest: bool = False) -> bytes:
    """Return an assignment; its script version is made known before. One in the guest place waits for no other."""
    message = assignment.message
    header = {
        "say": "run",
        "guest": guest,
        "lease": assignment.lease,
        "prefix": assignment.prefix,
        "input": assignment.input,
        "output_format": assignment.output_format,
        "errors_max": assignment.errors_max,
        "chunk_records": assignment.chunk_records,
        "hash": assignment.version_id,
        "script": script_key(assignment),
        "small": _sizes(assignment.small),
        "piece": assignment.piece,
        "pieces": assignment.pieces,
        "skipped": assignment.skipped,
        "room_bytes": assignment.room_bytes,
        "message": message and {"id": message.id, "url": message.url, "policy": message.policy},
        "message_bytes": [len(message.secret), len(message.body)] if message else [0, 0],
    }
    tail = b"".join(assignment.small.values())
    return frame(header, tail + message.secret + message.body if message else tail)


def read_assignment(header: Mapping[str, Any], tail: bytes, script: ScriptVersion | None) -> Assignment:
    """Return the assignment of a frame."""
    small, end = _bytes_of(header["small"], tail)
    piece = header["piece"]
    return Assignment(
        lease=_lease(header["lease"]),
        prefix=header["prefix"],
        input=JobInput(**header["input"] | {"blob": BlobPointer(**header["input"]["blob"])}),
        output_format=header["output_format"],
        errors_max=header["errors_max"],
        chunk_records=header["chunk_records"],
        version_id=header["hash"],
        script=script,
        small=small,
        piece=_piece(piece) if piece else None,
        pieces=tuple(_piece(each) for each in header["pieces"]),
        skipped=tuple((path, member, reason) for path, member, reason in header["skipped"]),
        message=_message(header, tail[end:]) if header["message"] else None,
        room_bytes=header["room_bytes"],
    )


def stop_frame(lease: Lease) -> bytes:
    """Return what makes a runner stop an attempt."""
    return frame({"say": "stop", "id": lease.entry.id, "token": lease.token})


def held_frame(leases: Iterable[Lease]) -> bytes:
    """Return which of a runner's attempts hold their leases, and until when; others are as old as they were."""
    return frame({"say": "held", "leases": [(lease.entry.id, lease.token, lease.expires_at) for lease in leases]})


def recall_frame(lease: Lease) -> bytes:
    """Return what makes a runner give back an attempt, unless it has begun."""
    return frame({"say": "recall", "id": lease.entry.id, "token": lease.token})


# ---- from a runner ----


def ready_frame(*, level: str, error: Mapping[str, Any] | None = None) -> bytes:
    """Return that a runner is ready, or why it cannot be."""
    return frame({"say": "ready", "level": level, "error": error})


def alive_frame(late: Mapping[WorkspaceId, float], done: Iterable[tuple[EntryId, int, int]]) -> bytes:
    """Return that a runner is alive.

    Args:
        late: CPU seconds of workspaces that were found after their attempts had ended.
        done: how many records attempts have done that run, by entry and token.
    """
    return frame({"say": "alive", "late": late, "done": list(done)})


def back_frame(entry: EntryId, token: int) -> bytes:
    """Return that a runner gives back an attempt that it has not begun."""
    return frame({"say": "back", "id": entry, "token": token})


def end_frame(lease: Lease, report: AttemptReport, *, started_at: float, finished_at: float) -> bytes:
    """Return how an attempt ended."""
    header = {
        "say": "end",
        "id": lease.entry.id,
        "token": lease.token,
        "started_at": started_at,
        "finished_at": finished_at,
        "outcome": report.outcome,
        "report": report.report,
        "output": report.output,
        "dead_letters": report.dead_letters,
        "error": report.error,
        "killed": report.killed,
        "cpu_s": report.cpu_s,
        "small": _sizes(report.small),
    }
    return frame(header, b"".join(report.small.values()))


def read_report(header: Mapping[str, Any], tail: bytes) -> AttemptReport:
    """Return the report of a frame."""
    return AttemptReport(
        header["outcome"],
        report=header["report"],
        output=_pointer(header["output"]),
        dead_letters=_pointer(header["dead_letters"]),
        error=header["error"],
        killed=header["killed"],
        cpu_s=header["cpu_s"],
        small=_bytes_of(header["small"], tail)[0],
    )


def _sizes(small: Mapping[str, bytes]) -> list[tuple[str, int]]:
    return [(key, len(data)) for key, data in small.items()]


def _bytes_of(sizes: list[list[Any]], tail: bytes) -> tuple[dict[str, bytes], int]:
    small, start = {}, 0
    for key, size in sizes:
        small[key] = tail[start : start + size]
        start += size
    return small, start


def _lease(given: Mapping[str, Any]) -> Lease:
    return Lease(**{**given, "entry": Entry(**given["entry"])})


def _piece(given: Mapping[str, Any]) -> Piece:
    return Piece(
        given["number"],
        BlobPointer(**given["input"]),
        given["report"],
        _pointer(given["output"]),
        _pointer(given["dead_letters"]),
    )


def _message(header: Mapping[str, Any], tail: bytes) -> Message:
    given, (secret_bytes, _) = header["message"], header["message_bytes"]
    policy = Policy(tuple(given["policy"]["egress"]))
    return Message(given["id"], given["url"], tail[secret_bytes:], tail[:secret_bytes], policy)


def _pointer(given: Mapping[str, Any] | None) -> BlobPointer | None:
    return BlobPointer(**given) if given else None
