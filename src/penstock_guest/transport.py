"""Penstock's own programs that carry data in and out: they cut inputs into chunks and turn spools into files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any, Final

import orjson

from penstock_guest import wire
from penstock_guest.child import Output, leave
from penstock_guest.chunk import dumps_line
from penstock_guest.failures import failure
from penstock_guest.reading import Block, Failure, InputError, read_blocks
from penstock_guest.writing import SpoolError, write_blocks

_LEAVE_BYTES: Final = 8 * 2**20


class Mapped:
    """A regular file, mapped as the child's input."""

    def __init__(self, memory: memoryview) -> None:
        self.buffer: memoryview | None = memory
        self.position_bytes = 0
        self._left_bytes = 0

    def read(self, size_bytes: int, /) -> memoryview:
        """Return the next bytes, without copying them."""
        assert self.buffer is not None, "a mapped file is all there"
        part = self.buffer[self.position_bytes : self.position_bytes + size_bytes]
        if self.position_bytes - self._left_bytes >= _LEAVE_BYTES:
            leave(self.buffer[self._left_bytes : self._left_bytes + _LEAVE_BYTES])
            self._left_bytes += _LEAVE_BYTES
        self.position_bytes += len(part)
        return part


class Fed:
    """A stream: the service reads it and hands it over piece by piece, whenever this child asks."""

    buffer: memoryview | None = None

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._left = memory[:0]
        self._ended = False
        self.position_bytes = 0

    def read(self, size_bytes: int, /) -> bytes:
        """Return the next bytes; they are copied, because the arena is filled again."""
        if not self._left and not self._ended:
            os.write(0, b'{"feed":true}')
            fed_bytes = orjson.loads(os.read(0, wire.MESSAGE_BYTES_MAX))["input_bytes"]
            self._left = self._memory[:fed_bytes]
            self._ended = fed_bytes == 0
        part = bytes(self._left[:size_bytes])
        self._left = self._left[size_bytes:]
        self.position_bytes += len(part)
        return part


class Reader:
    """Cuts one input into blocks, one a request."""

    def __init__(self, spec: dict[str, Any], _source: bytes) -> None:
        self.problems: list[dict[str, Any]] = []
        self._spec = spec
        self._source: Mapped | Fed | None = None
        self._blocks: Iterator[Block] | None = None

    def rehearse(self) -> None:
        """Do nothing: it is not run often."""

    def park(self, output: Output) -> None:
        """Do nothing yet."""

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Return the next block; its payload, then its dead letters, are the output."""
        if self._blocks is None:
            self._source = Fed(given) if self._spec["streamed"] else Mapped(given[: self._spec["size_bytes"]])
            self._blocks = read_blocks(self._source, **self._spec["reading"])
        try:
            block = next(self._blocks, None)
        except InputError as error:
            return {"broken": {"code": error.code, "message": error.message, "hint": error.hint} | _where(error)}
        return self._reply(block, output) if block is not None else {"end": True}

    def _reply(self, block: Block, output: Output) -> dict[str, Any]:
        for part in block.parts:
            output.write(part)
        output_bytes = output.size_bytes
        for lost in block.failures:
            output.write(dumps_line(_dead_letter(self._spec["reading"]["name"], lost)))
        assert self._source is not None, "set with the blocks"
        return {
            "output_bytes": output_bytes,
            "dead_bytes": output.size_bytes - output_bytes,
            "format": block.format,
            "records": block.records,
            "segments": [astuple(segment) for segment in block.segments],
            "causes": [[code, None, None, count] for code, count in Counter(f.code for f in block.failures).items()],
            "skipped": [[skipped.member, skipped.reason] for skipped in block.skipped],
            "position_bytes": self._source.position_bytes,
        }


class Writer:
    """Turns the records of a spool into a file of another format, one block a request."""

    def __init__(self, spec: dict[str, Any], _source: bytes) -> None:
        self.problems: list[dict[str, Any]] = []
        self._spec = spec
        self._blocks: Iterator[bytes] | None = None

    def rehearse(self) -> None:
        """Do nothing: it is not run often."""

    def park(self, output: Output) -> None:
        """Do nothing yet."""

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Return the next block of the file."""
        if self._blocks is None:
            self._blocks = write_blocks(given[: self._spec["size_bytes"]], **self._spec["writing"])
        try:
            block = next(self._blocks, None)
        except SpoolError as error:
            return {"broken": {"code": error.code, "message": error.message, "hint": error.hint}}
        if block is None:
            return {"end": True}
        output.write(block)
        return {"output_bytes": output.size_bytes}


def _where(error: InputError) -> dict[str, Any]:
    return {"member": error.member, "offset_bytes": error.offset_bytes, "line": error.line}


def _dead_letter(name: str, lost: Failure) -> dict[str, Any]:
    return {
        "input": name,
        "member": lost.member,
        "record": lost.record,
        "line": lost.line,
        "error": failure(lost.code, lost.message),
        "raw": lost.raw.decode("utf-8", "replace"),
    }
