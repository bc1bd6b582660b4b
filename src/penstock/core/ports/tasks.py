"""The small Protocols through which the rooms reach the world. Adapters implement them; `wiring` chooses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from penstock.core.jobs import BlobPointer
from penstock.core.plan import Attempt, Plan, Run, RunId
from penstock.core.scripts import Chunk, ChunkDeath, ChunkResult, InputFile, Problem, SandboxReport, ScriptVersion


class ScriptRunner(Protocol):
    """Runs one script version on chunks, each in a child that is locked and used once."""

    entry_point: str

    def run(
        self,
        chunk: Chunk,
        *,
        seed: int,
        emit: str,
        skip: Mapping[int, Mapping[str, Any]],
        rest: Mapping[str, Any] | None = None,
        careful: bool = False,
    ) -> ChunkResult | ChunkDeath:
        """Return what became of the chunk, however the script behaved. Safe to call from several threads.

        Args:
            chunk: the records.
            seed: of the script's random numbers.
            emit: format of the output, `ndjson` or `arrow`.
            skip: records that are not to be tried, by index, with the error that they fail with.
            rest: the error that all others fail with, untried; None to try them.
            careful: whether to make sure, for each output, that there is memory to write it; that takes longer.
        """

    def stop(self) -> None:
        """End what runs now, so that nobody waits for it; what it gave is not used any more."""


class ChunkReader(Protocol):
    """Cuts one input into chunks, in a locked child.

    Attributes:
        position_bytes: how much of the raw input has been read.
        skipped: members of an archive that hold no data, with the reason.
    """

    position_bytes: int
    skipped: list[tuple[str, str]]

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks in order.

        Raises:
            InputUnreadable: when the input is broken or is not what its name says.
        """


class Sandbox(Protocol):
    """Where every line of tenant code and every byte of tenant data is touched."""

    def report(self) -> SandboxReport:
        """Return what the live self-test shows on this machine."""

    def check(self, script: ScriptVersion) -> list[Problem]:
        """Return what would keep the script from running."""

    def open_script(self, script: ScriptVersion, *, parallel: int) -> AbstractContextManager[ScriptRunner]:
        """Prepare a script version and keep children of it parked while the context lasts.

        Raises:
            ScriptRejected: when the script cannot be compiled or has no entry point.
            SandboxUnsafe: when scripts cannot run safely here.
        """

    def open_input(self, file: InputFile, *, chunk_records: int, as_arrow: bool) -> AbstractContextManager[ChunkReader]:
        """Open one input for reading in a locked child."""

    def convert(self, spool_fd: int, *, spool_format: str, to: str) -> Iterator[bytes]:
        """Yield the records of a spool in another format, made in a locked child.

        Raises:
            OutputFailed: when the format cannot hold these records.
        """


class Output(Protocol):
    """An output in the making, which appears whole or not at all."""

    size_bytes: int

    def write(self, data: bytes) -> None:
        """Append data."""

    def spool_fd(self) -> int:
        """Return a descriptor of all that has been written so far."""

    def commit(self) -> None:
        """Put it in its place."""

    def discard(self) -> None:
        """Drop it, unless it is committed."""


class Files(Protocol):
    """Inputs by path, outputs by path; `-` and None are the standard streams."""

    def find(self, patterns: Sequence[str]) -> list[str]:
        """Return the paths that arguments name.

        Raises:
            InputNotFound: when one names no file.
        """

    def size_bytes(self, paths: Sequence[str]) -> int | None:
        """Return the bytes of all paths together, None when one is a stream."""

    def open(self, path: str, *, data_format: str | None) -> AbstractContextManager[InputFile]:
        """Open one input."""

    def create(self, path: str | None, *, spool: bool = False) -> Output:
        """Begin an output.

        Args:
            path: where it is to appear.
            spool: whether it only holds records until they are converted into the output of that path.

        Raises:
            OutputFailed: when nothing can be written there.
        """


class PartFiles(Files, Protocol):
    """The Files of one attempt of a part of a job: inputs are blobs, and outputs become blobs.

    Attributes:
        made: where each committed output lies, by the path that the task gave it.
        small: bytes by key of the small ones among them, to be stored with the report.
    """

    made: dict[str, BlobPointer]
    small: dict[str, bytes]

    def stream(self, pointer: BlobPointer) -> Iterator[bytes]:
        """Yield the bytes of a blob of the job in blocks."""

    def drop_all_but(self, path: str | None) -> None:
        """Delete what was made, but for one output if a path is given: after a failure nobody will read it."""


class Records(Protocol):
    """What is known of runs."""

    def start_run(self, plan: Plan) -> Run:
        """Record a new run of a plan."""

    def close_attempt(self, run_id: RunId, attempt: Attempt) -> Run:
        """Record how an attempt ended, and return the run as it then stands."""


class Progress(Protocol):
    """Where somebody watches."""

    def begin(self, total_bytes: int | None) -> None:
        """The size of all inputs is known, or that it cannot be."""

    def advance(self, *, records: int, read_bytes: int) -> None:
        """So many more records are done, and so many bytes of input have been read in all."""

    def printed(self, text: str) -> None:
        """A script has printed something."""

    def end(self) -> None:
        """Nothing more will come."""


class TaskContext(Protocol):
    """All that a task kind can reach."""

    @property
    def sandbox(self) -> Sandbox:
        """Where scripts run and data is parsed."""

    @property
    def files(self) -> Files:
        """Where inputs and outputs are."""

    @property
    def progress(self) -> Progress:
        """Whom to tell."""

    @property
    def parallel(self) -> int:
        """How many chunks run at once."""

    def run_in_order(
        self, runner: ScriptRunner, chunks: Iterable[Chunk], *, seed: str, emit: str, first: int = 0
    ) -> Iterator[tuple[Chunk, ChunkResult]]:
        """Yield each chunk with what became of it, in the order of the chunks; `first` is the number of the first."""


class TaskKind(Protocol):
    """One kind of task: a file in `tasks/`."""

    def run(self, spec: Any, ctx: TaskContext, /) -> Any:
        """Carry one task out and return its report."""
