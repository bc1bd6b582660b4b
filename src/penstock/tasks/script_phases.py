"""The task kind `script` in three phases, so that many workers can share one input.

`split` cuts the input into chunks, `run_piece` runs one of them, and `join` puts their results together in order.
What comes out is what `ScriptTask` gives for the whole input, to the byte.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from penstock.core.ports import Output, TaskContext
from penstock.core.processing import ScriptReport, ScriptSpec
from penstock.core.scripts import Cause
from penstock.tasks.chunk_frames import pack, unpack
from penstock.tasks.script import DeadLetters, chunks_of, count, discarding, emit_of, finish, judge, takes_tables

_FRAME: Final = "chunk"


@dataclass(frozen=True, slots=True)
class Cut:
    """One chunk that `split` made.

    Attributes:
        path: of its frame.
        records: readable or not.
    """

    path: str
    number: int
    records: int


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one chunk, and the bytes that it gave, in blocks.

    Attributes:
        report: its own account.
    """

    report: ScriptReport
    output: Iterable[bytes]
    dead_letters: Iterable[bytes]


def split(spec: ScriptSpec, ctx: TaskContext, report: ScriptReport) -> Iterator[Cut]:
    """Write the frame of each chunk of the inputs, and yield it; what is left out is added to the report."""
    with ctx.sandbox.open_script(spec.script, parallel=ctx.parallel) as runner:
        as_arrow = takes_tables(runner)
    for number, chunk in enumerate(chunks_of(spec, ctx, report, as_arrow=as_arrow)):
        path = f"{_FRAME}-{number}"
        with discarding(ctx.files.create(path)) as frame:
            _write(frame, pack(chunk))
            frame.commit()
        yield Cut(path, number, chunk.records + chunk.unreadable_records)


def run_piece(spec: ScriptSpec, ctx: TaskContext, frame: bytes, *, number: int) -> ScriptReport:
    """Run one chunk; what it gives is written only where there is some."""
    chunk, report = unpack(frame), ScriptReport(output=spec.output)
    with ctx.sandbox.open_script(spec.script, parallel=ctx.parallel) as runner:
        seed = spec.seed or ""
        results = ctx.run_in_order(runner, [chunk], seed=seed, emit=emit_of(spec, runner), first=number)
        for _, result in results:
            count(report, chunk, result)
            if result.printed:
                ctx.progress.printed(result.printed)
            _keep(ctx, spec.output, result.output)
            _keep(ctx, spec.dead_letters_default, chunk.dead_letters + result.dead_letters)
    return report


def join(spec: ScriptSpec, ctx: TaskContext, pieces: Iterable[Done], report: ScriptReport) -> ScriptReport:
    """Put the results of all chunks together in order.

    Args:
        spec: the same as for the chunks.
        ctx: what a task can reach.
        pieces: in the order of the chunks.
        report: what `split` knew already.

    Raises:
        TooManyErrors: when more records fail than allowed, judged chunk by chunk as for a whole input.
    """
    report.output = spec.output
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(discarding(ctx.files.create(spec.output, spool=spec.output_format != "ndjson")))
        letters = DeadLetters(spec, ctx)
        stack.callback(letters.discard)
        for piece in pieces:
            add(report, piece.report)
            _write(output, piece.output)
            for block in piece.dead_letters:
                letters.write(block)
            judge(spec, report, letters, at_end=False)
        judge(spec, report, letters, at_end=True)
        finish(spec, ctx, output, _spool_format(spec, ctx), report)
        report.dead_letters = letters.commit()
    return report


def add(report: ScriptReport, piece: ScriptReport) -> None:
    """Add the account of a chunk to that of the whole."""
    report.chunks += piece.chunks
    report.records += piece.records
    report.produced += piece.produced
    report.dropped += piece.dropped
    report.failed += piece.failed
    report.rows += piece.rows
    report.count_causes(tuple(Cause(*key, records) for key, records in piece.causes.items()))


def _spool_format(spec: ScriptSpec, ctx: TaskContext) -> str:
    if spec.output_format != "parquet":
        return "ndjson"
    with ctx.sandbox.open_script(spec.script, parallel=ctx.parallel) as runner:
        return emit_of(spec, runner)


def _keep(ctx: TaskContext, path: str | None, data: bytes) -> None:
    if data:
        with discarding(ctx.files.create(path)) as output:
            output.write(data)
            output.commit()


def _write(output: Output, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        if block:
            output.write(block)
