"""What a task can reach while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.core.ports import Files, Progress, Sandbox, ScriptRunner
from penstock.core.scripts import Chunk, ChunkResult
from penstock.execution.chunks import run_in_order


@dataclass(frozen=True, slots=True)
class Context:
    """The TaskContext of a process that does everything itself.

    Attributes:
        parallel: how many chunks run at once.
    """

    sandbox: Sandbox
    files: Files
    progress: Progress
    parallel: int

    def run_in_order(
        self, runner: ScriptRunner, chunks: Iterable[Chunk], *, seed: str, emit: str, first: int = 0
    ) -> Iterator[tuple[Chunk, ChunkResult]]:
        """Yield each chunk with what became of it, in the order of the chunks; `first` is the number of the first."""
        return run_in_order(runner, chunks, parallel=self.parallel, seed=seed, emit=emit, first=first)
