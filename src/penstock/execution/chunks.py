"""Running chunks: many at once, in order, and again without the record that killed a child."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from penstock.core import limits
from penstock.core.errors import Bug, ScriptFailed
from penstock.core.ports import ScriptRunner
from penstock.core.scripts import Chunk, ChunkDeath, ChunkResult

_AHEAD: Final = 2  # chunks in flight for each worker: enough to keep it busy, few enough to stay flat


def run_in_order(
    runner: ScriptRunner, chunks: Iterable[Chunk], *, parallel: int, seed: str, emit: str, first: int = 0
) -> Generator[tuple[Chunk, ChunkResult]]:
    """Yield each chunk with what became of it, in the order of the chunks.

    Args:
        runner: safe to call from several threads.
        chunks: taken as they are needed.
        parallel: how many run at once.
        seed: of the run; a chunk's own seed follows from it and the chunk's number.
        emit: the format of the output, `ndjson` or `arrow`.
        first: the number of the first chunk.

    Raises:
        ScriptFailed: when the script's own top level raises or is stopped.
    """
    if parallel == 1:  # a thread beside this one would only cost time
        yield from _run_here(runner, chunks, seed=seed, emit=emit, first=first)
        return
    with ThreadPoolExecutor(parallel, thread_name_prefix="chunk") as threads:
        flying: deque[tuple[Chunk, Future[ChunkResult]]] = deque()
        try:
            for number, chunk in enumerate(chunks, first):
                flying.append(
                    (chunk, threads.submit(run_chunk, runner, chunk, seed=chunk_seed(seed, number), emit=emit))
                )
                if len(flying) >= _AHEAD * parallel:
                    yield _landed(flying.popleft())
            while flying:
                yield _landed(flying.popleft())
        except BaseException:  # something failed, or the caller has had enough: chunks take long, and nobody waits
            for _, future in flying:
                future.cancel()
            runner.stop()
            raise


def _run_here(
    runner: ScriptRunner, chunks: Iterable[Chunk], *, seed: str, emit: str, first: int
) -> Generator[tuple[Chunk, ChunkResult]]:
    try:
        for number, chunk in enumerate(chunks, first):
            yield chunk, run_chunk(runner, chunk, seed=chunk_seed(seed, number), emit=emit)
    except BaseException:
        runner.stop()
        raise


def run_chunk(runner: ScriptRunner, chunk: Chunk, *, seed: int, emit: str) -> ChunkResult:
    """Return what became of a chunk.

    A record that kills its child becomes a dead letter, and the rest of the chunk runs again in a fresh child; after
    `chunk_reruns` such deaths, or one that no single record caused, every record left fails. After the first crash the
    whole chunk runs again with care: what crashed it may have been an output too large to be written, which then is an
    error of its record.
    """
    if chunk.records == 0:
        return ChunkResult(b"", b"", records=0, produced=0, dropped=0, failed=0, rows=0)
    skip: dict[int, dict[str, Any]] = {}
    rest: dict[str, Any] | None = None
    careful = False
    while True:
        end = runner.run(chunk, seed=seed, emit=emit, skip=skip, rest=rest, careful=careful)
        if isinstance(end, ChunkResult):
            return end
        if end.phase == "starting":
            raise _top_level_failed(end)
        if rest or len(skip) == chunk.records:  # nothing of it was run, so this is no fault of the script
            raise Bug(f"the dead letters of a chunk could not be written: {end.detail}", hint="Try a smaller --chunk.")
        if end.code == "crashed" and not careful:
            careful = True
            continue
        error = _error(end)
        if end.phase == "records" and end.record < chunk.records and end.record not in skip:
            if len(skip) < limits.CHUNK_RERUNS.value:
                skip[end.record] = error
                continue
            words = f"{len(skip) + 1} records of this chunk ended their process; the last: {error['message']}"
            error |= {"code": "chunk_failed", "message": words}
        rest = error


def chunk_seed(seed: str, number: int) -> int:
    """Return the seed of a chunk's random numbers: the same whenever the same run is made again."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:8], "big")


def _landed(item: tuple[Chunk, Future[ChunkResult]]) -> tuple[Chunk, ChunkResult]:
    chunk, future = item
    return chunk, future.result()


def _error(end: ChunkDeath) -> dict[str, Any]:
    return {"code": end.code, "type": None, "message": end.detail, "script_line": end.script_line}


def _top_level_failed(end: ChunkDeath) -> ScriptFailed:
    line = f" at line {end.script_line}" if end.script_line else ""
    return ScriptFailed(
        f"the script's own top level failed{line}, before any record: {end.detail}",
        hint="Run the script's top level by itself; it may use only what it imports and computes.",
    )
