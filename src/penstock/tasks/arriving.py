"""What arrives from a source, as files that an engine can read: lines, and what could not become lines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from penstock.core import limits
from penstock.core.errors import InputUnreadable, SourceRefused, TaskFailed
from penstock.core.ports import Landed, PipelineContext, RawReader
from penstock.core.raw import RawLines, content_name
from penstock.core.scripts import InputFile


@dataclass(slots=True)
class Arrived:
    """What has arrived, in files of the staging folder.

    Attributes:
        lines: the source of each file of lines; likewise `parquet` and `rejected`.
        kinds: of values, by field.
        first_in: the source in which each field was seen first.
        columns: types that the source knows, by field.
        taken: files that are not to be taken again, each with its mark.
    """

    lines: dict[str, str] = field(default_factory=dict)
    parquet: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, frozenset[str]] = field(default_factory=dict)
    first_in: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    records: int = 0
    size_bytes: int = 0

    @property
    def files(self) -> bool:
        """Whether anything has arrived that can be written."""
        return bool(self.lines or self.parquet)

    def note(self, kinds: Mapping[str, frozenset[str]], source: str) -> None:
        """Add the kinds of values that were found in the fields of a source."""
        add_kinds(self.kinds, kinds)
        for name in kinds:
            self.first_in.setdefault(name, source)


class Arriving:
    """Takes what arrives, one file after the other.

    Args:
        ctx: of the attempt.
        stack: ends what is started for it.
    """

    def __init__(self, ctx: PipelineContext, stack: contextlib.ExitStack) -> None:
        self._ctx = ctx
        self._stack = stack
        self._raw: RawReader | None = None
        self._count = 0

    def take(self, landed: Landed, arrived: Arrived) -> None:
        """Add a file to what has arrived; text becomes lines, in locked children."""
        arrived.size_bytes += landed.path.stat().st_size
        if arrived.size_bytes > limits.SOURCE_BYTES.value * 2**20:
            raise TaskFailed(
                f"more than {limits.SOURCE_BYTES.value:,} MiB have arrived", hint="Take less at once, by for_each."
            )
        self._ctx.expect_write()
        arrived.columns |= landed.columns
        if landed.mark:
            arrived.taken.append((landed.source, landed.mark))
        if landed.content:
            arrived.taken.append((content_name(landed.source), landed.content))
        if landed.format == "parquet":
            arrived.parquet[str(landed.path)] = landed.source
        elif landed.format == "lines":
            arrived.lines[str(landed.path)] = landed.source
            arrived.note(landed.kinds, landed.source)
            if landed.rejected is not None:
                arrived.rejected[str(landed.rejected)] = landed.source
        else:
            self._make_lines(landed, arrived)

    def _make_lines(self, landed: Landed, arrived: Arrived) -> None:
        if self._raw is None:
            self._raw = self._stack.enter_context(self._ctx.open_raw())
        self._count += 1
        lines = self._ctx.staging / f"lines-{self._count}.ndjson"
        rejected = self._ctx.staging / f"rejected-{self._count}.ndjson"
        with landed.path.open("rb") as file, lines.open("xb") as out, rejected.open("xb") as aside:
            known = InputFile(landed.path.name, file.fileno(), landed.path.stat().st_size, format=landed.format)
            try:
                pieces = self._raw.lines(known, records_at=landed.records_at)
                refused = self._write(pieces, arrived, landed.source, out, aside)
            except (InputUnreadable, SourceRefused) as error:
                raise _of_source(error, landed) from error
        landed.path.unlink()
        arrived.lines[str(lines)] = landed.source
        if refused:
            arrived.rejected[str(rejected)] = landed.source

    def _write(self, pieces: Iterable[RawLines], arrived: Arrived, source: str, out: BinaryIO, aside: BinaryIO) -> int:
        refused = 0
        for piece in pieces:
            out.write(piece.lines)
            aside.write(piece.rejected)
            arrived.note(piece.kinds, source)
            arrived.records += piece.records
            refused += piece.refused
            self._ctx.progress(arrived.records)
        return refused


def _of_source(error: InputUnreadable | SourceRefused, landed: Landed) -> InputUnreadable | SourceRefused:
    """Return the error of a file under the name that its owner knows it by."""
    message = f"{landed.source}: {error.message.removeprefix(f'{landed.path.name}: ')}"
    if isinstance(error, SourceRefused):
        return SourceRefused(message, hint=error.hint, figures=error.figures)
    return InputUnreadable(message, hint=error.hint)


def add_kinds(known: dict[str, frozenset[str]], more: Mapping[str, frozenset[str]]) -> None:
    """Add the kinds of values that were found in columns to those known."""
    for name, kinds in more.items():
        known[name] = known.get(name, frozenset()) | kinds
