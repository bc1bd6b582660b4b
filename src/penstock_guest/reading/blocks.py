"""What reading hands out: blocks of whole records, and whatever could not become part of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

BlockFormat = Literal["ndjson", "csv", "arrow"]

RAW_BYTES_MAX = 4096  # of the text of a failed record that is kept: enough to find it again


class Source(Protocol):
    """Where the raw bytes of one input come from."""

    @property
    def buffer(self) -> memoryview | None:
        """The whole input where it is mapped, None where it can only be read on."""

    def read(self, size_bytes: int, /) -> bytes | memoryview:
        """Return up to so many bytes, and none at the end."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring lines of one member inside a block.

    Attributes:
        member: the file inside an archive, None outside one.
        record: the number of its first record in that file, from 1.
        line: the text line where it begins in that file, from 1; None where records have no line.
        records: how many records it has.
        lines: how many text lines of the block it takes.
    """

    member: str | None
    record: int
    line: int | None
    records: int
    lines: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that could not be cut out; it counts as a record of its member.

    Attributes:
        member: the file inside an archive, None outside one.
        record: its number in that file, from 1.
        line: the text line where the fault is, from 1; None where records have no line.
        code: stable, the name of its page.
        message: what is wrong; never a value of the record.
        raw: the beginning of its text.
    """

    member: str | None
    record: int
    line: int | None
    code: str
    message: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """A member of an archive that was left out, and why."""

    member: str
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """A chunk's worth of records, and what was met on the way to them.

    Attributes:
        format: of the payload.
        parts: the payload's pieces. CSV: the header line, then record lines. NDJSON: lines. Arrow: one IPC stream.
        records: how many records the payload holds; 0 in a block that only reports failures or skipped members.
        segments: where they come from, in order.
        failures: the records around them that could not be cut out.
        skipped: the members of an archive that were left out since the block before.
    """

    format: BlockFormat
    parts: tuple[bytes, ...]
    records: int
    segments: tuple[Segment, ...]
    failures: tuple[Failure, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def payload(self) -> bytes:
        """The pieces in one."""
        return b"".join(self.parts)

    @property
    def size_bytes(self) -> int:
        """The payload's length."""
        return sum(map(len, self.parts))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record of a block stands in its input."""

    member: str | None
    record: int
    line: int | None


def locate(segments: tuple[Segment, ...], index: int, line: int) -> Place:
    """Return where a record comes from.

    Args:
        segments: of its block.
        index: the record's place in the block, from 0.
        line: its text line in the block, from 0; a CSV header is not counted.
    """
    for segment in segments:
        if index < segment.records:
            return Place(segment.member, segment.record + index, None if segment.line is None else segment.line + line)
        index -= segment.records
        line -= segment.lines
    raise IndexError(f"record {index} lies past the block's last segment")


@dataclass(frozen=True, slots=True)
class Run:
    """Whole records in order, as a cutter takes them from the text; without text where the next one needs more room."""

    text: bytes
    records: int
    lines: int


@dataclass(frozen=True, slots=True)
class Broken:
    """Text that is no record.

    Attributes:
        code: as in Failure.
        message: as in Failure.
        raw: its beginning.
        lines: how many text lines it takes.
        line: the line with the fault, from 0 at its own first line.
    """

    code: str
    message: str
    raw: bytes
    lines: int = 1
    line: int = 0


class Cutter(Protocol):
    """Cuts the content of one file into runs of whole records, and looks no closer at them than that takes."""

    format: BlockFormat
    header: bytes  # the CSV header line without its end, else empty
    first_line: int | None  # the text line after the header; None where records have no line

    def take(self, records_max: int, bytes_max: int) -> Run | Broken | None:
        """Return the next records, as many as fit; None at the end."""
