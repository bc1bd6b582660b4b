"""Packs runs of records, from however many members of an archive, into full blocks."""

from __future__ import annotations

from collections.abc import Iterator

from penstock_guest.reading.blocks import Block, BlockFormat, Broken, Cutter, Failure, Run, Segment, Skipped


class Packer:
    """Fills one block after the other; a block spans members where their format and CSV header are the same."""

    def __init__(self, *, records_max: int, bytes_max: int) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._format: BlockFormat = "ndjson"
        self._header = b""
        self._clear()

    def pack(self, member: str | None, cutter: Cutter) -> Iterator[Block]:
        """Yield the blocks that the records of one file complete."""
        if (cutter.format, cutter.header) != (self._format, self._header):
            yield from self.rest()
            self._format, self._header = cutter.format, cutter.header
            self._clear()
        record, line = 1, cutter.first_line
        while (cut := cutter.take(self._records_max - self._records, self._bytes_max - self._bytes)) is not None:
            if isinstance(cut, Broken):
                self._failures.append(_failure(cut, member, record, line))
                record += 1
            else:
                self._add(cut, member, record, line)
                record += cut.records
            line = None if line is None else line + cut.lines
            if self._full(cut):
                yield from self.rest()

    def skip(self, member: str, reason: str) -> None:
        """Note a member that is left out."""
        self._skipped.append(Skipped(member, reason))

    def rest(self) -> Iterator[Block]:
        """Yield the block begun, if there is something to say in it."""
        if self._records or self._failures or self._skipped:
            parts = tuple(self._parts) if self._records else ()
            segments = tuple(self._segments) if self._records else ()
            yield Block(self._format, parts, self._records, segments, tuple(self._failures), tuple(self._skipped))
        self._clear()

    def _clear(self) -> None:
        self._parts = [self._header + b"\n"] if self._format == "csv" else []
        self._bytes = sum(map(len, self._parts))
        self._records = 0
        self._segments: list[Segment] = []
        self._failures: list[Failure] = []
        self._skipped: list[Skipped] = []

    def _full(self, cut: Run | Broken) -> bool:
        refused_for_room = isinstance(cut, Run) and not cut.text
        noted = len(self._failures) + len(self._skipped)
        return refused_for_room or max(self._records, noted) >= self._records_max or self._format == "arrow"

    def _add(self, run: Run, member: str | None, record: int, line: int | None) -> None:
        if not run.text:
            return
        self._parts.append(run.text)
        self._bytes += len(run.text)
        self._records += run.records
        last = self._segments[-1] if self._segments else None
        if last and (last.member, last.record + last.records) == (member, record) and _adjoins(last, line):
            self._segments[-1] = Segment(
                member, last.record, last.line, last.records + run.records, last.lines + run.lines
            )
        else:
            self._segments.append(Segment(member, record, line, run.records, run.lines))


def _adjoins(last: Segment, line: int | None) -> bool:
    return last.line is None or last.line + last.lines == line


def _failure(broken: Broken, member: str | None, record: int, line: int | None) -> Failure:
    fault_line = None if line is None else line + broken.line
    return Failure(member, record, fault_line, broken.code, broken.message, broken.raw)
