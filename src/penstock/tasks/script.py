"""The task kind `script`: a tenant's function over the records of some inputs.

The function sees one record, one chunk, or one table at a time, in a locked child that is used once. Output records
keep the order of the input. A record that fails becomes a dead letter and harms no other; when more fail than
`errors_max` allows, there is no output.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator

from penstock.base.hashing import fingerprint
from penstock.core.errors import TooLarge, TooManyErrors
from penstock.core.ports import Output, ScriptRunner, TaskContext
from penstock.core.processing import ScriptReport, ScriptSpec
from penstock.core.scripts import Chunk, ChunkResult


class ScriptTask:
    """Runs a script over inputs into one output."""

    def run(self, spec: ScriptSpec, ctx: TaskContext, /) -> ScriptReport:
        """Process every record and put the output in its place.

        Raises:
            TooManyErrors: when more records fail than allowed; the dead letters are kept, the output is not.
        """
        report = ScriptReport(output=spec.output)
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(
                discarding(ctx.files.create(spec.output, spool=spec.output_format != "ndjson"))
            )
            letters = DeadLetters(spec, ctx)
            stack.callback(letters.discard)
            runner = stack.enter_context(ctx.sandbox.open_script(spec.script, parallel=ctx.parallel))
            ctx.progress.begin(ctx.files.size_bytes(spec.inputs))
            stack.callback(ctx.progress.end)
            emit = emit_of(spec, runner)
            with contextlib.closing(_results(spec, ctx, runner, report, emit)) as results:
                for chunk, result in results:
                    output.write(result.output)
                    letters.write(chunk.dead_letters + result.dead_letters)
                    judge(spec, report, letters, at_end=False)
            judge(spec, report, letters, at_end=True)
            finish(spec, ctx, output, emit, report)
            report.dead_letters = letters.commit()
        return report


class DeadLetters:
    """Where records go that failed; the file comes into being with the first, or at once when somebody asked for it."""

    def __init__(self, spec: ScriptSpec, ctx: TaskContext) -> None:
        self._path = spec.dead_letters or spec.dead_letters_default
        self._create = ctx.files.create
        self._file: Output | None = self._create(self._path) if spec.dead_letters else None

    def write(self, lines: bytes) -> None:
        """Append finished lines."""
        if lines and self._file is None:
            self._file = self._create(self._path)
        if lines and self._file is not None:
            self._file.write(lines)

    def commit(self) -> str | None:
        """Put the file in its place and return its path, None when there is none."""
        if self._file is None:
            return None
        self._file.commit()
        return self._path

    def discard(self) -> None:
        """Drop the file unless it is committed."""
        if self._file is not None:
            self._file.discard()


@contextlib.contextmanager
def discarding(output: Output) -> Iterator[Output]:
    """Drop an output at the end unless it is committed by then."""
    try:
        yield output
    finally:
        output.discard()


def _results(
    spec: ScriptSpec, ctx: TaskContext, runner: ScriptRunner, report: ScriptReport, emit: str
) -> Generator[tuple[Chunk, ChunkResult]]:
    chunks = chunks_of(spec, ctx, report, as_arrow=takes_tables(runner))
    seed = spec.seed or fingerprint(spec.script, spec.inputs)
    for chunk, result in ctx.run_in_order(runner, chunks, seed=seed, emit=emit):
        count(report, chunk, result)
        if result.printed:
            ctx.progress.printed(result.printed)
        ctx.progress.advance(records=result.records + chunk.unreadable_records, read_bytes=chunk.position_bytes)
        yield chunk, result


def takes_tables(runner: ScriptRunner) -> bool:
    """Return whether the script's function takes Arrow tables."""
    return runner.entry_point == "process_table"


def emit_of(spec: ScriptSpec, runner: ScriptRunner) -> str:
    """Return the format in which chunks give their records: tables stay tables where they can."""
    return "arrow" if takes_tables(runner) and spec.output_format == "parquet" else "ndjson"


def chunks_of(spec: ScriptSpec, ctx: TaskContext, report: ScriptReport, *, as_arrow: bool) -> Iterator[Chunk]:
    """Yield the chunks of all inputs in order.

    Raises:
        TooLarge: when there are more than the spec allows.
    """
    for number, chunk in enumerate(_all_chunks(spec, ctx, report, as_arrow=as_arrow)):
        if spec.chunks_max is not None and number >= spec.chunks_max:
            raise TooLarge(
                f"the input has more than {spec.chunks_max:,} chunks of {spec.chunk_records:,} records",
                hint="Raise the records of a chunk, or send the input as several jobs.",
            )
        yield chunk


def _all_chunks(spec: ScriptSpec, ctx: TaskContext, report: ScriptReport, *, as_arrow: bool) -> Iterator[Chunk]:
    before_bytes = 0
    for path in spec.inputs:
        with (
            ctx.files.open(path, data_format=spec.input_format) as file,
            ctx.sandbox.open_input(file, chunk_records=spec.chunk_records, as_arrow=as_arrow) as reader,
        ):
            for chunk in reader:
                yield chunk.at(before_bytes + reader.position_bytes)
            report.skipped += [(path, member, reason) for member, reason in reader.skipped]
            before_bytes += file.size_bytes or reader.position_bytes


def count(report: ScriptReport, chunk: Chunk, result: ChunkResult) -> None:
    """Add a chunk to the account."""
    report.chunks += 1
    report.records += result.records + chunk.unreadable_records
    report.produced += result.produced
    report.dropped += result.dropped
    report.failed += result.failed + chunk.unreadable_records
    report.rows += result.rows
    report.count_causes(chunk.unreadable)
    report.count_causes(result.causes)
    assert report.records == report.produced + report.dropped + report.failed, "every record is accounted for"


def judge(spec: ScriptSpec, report: ScriptReport, letters: DeadLetters, *, at_end: bool) -> None:
    """Raise TooManyErrors when more records have failed than may; the dead letters are kept."""
    if not spec.errors_max.is_exceeded(failed=report.failed, records=report.records, at_end=at_end):
        return
    report.dead_letters = letters.commit()
    raise TooManyErrors(
        f"{report.failed:,} of {report.records:,} records failed; at most {spec.errors_max} may. There is no output",
        hint=f"Read {report.dead_letters}, correct the script or the data, or raise --max-errors.",
        report=report,
    )


def finish(spec: ScriptSpec, ctx: TaskContext, output: Output, emit: str, report: ScriptReport) -> None:
    """Put the output in its place, in the format that was asked for."""
    if spec.output_format == "ndjson":
        output.commit()
        report.output_bytes = output.size_bytes
        return
    with discarding(ctx.files.create(spec.output)) as final:
        for block in ctx.sandbox.convert(output.spool_fd(), spool_format=emit, to=spec.output_format):
            final.write(block)
        final.commit()
        report.output_bytes = final.size_bytes
