"""In-memory twins of the ports: they keep the same promises, and what they answer is data of the test."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.core.errors import InputNotFound
from penstock.core.scripts import Act, Chunk, ChunkDeath, ChunkResult, InputFile, Problem, SandboxReport, ScriptVersion

SAFE = SandboxReport("6.1", "x86_64", 4, 1000, "landlock+seccomp", (Act("read a file", stopped=True, how="refused"),))


@dataclass(slots=True)
class TwinRunner:
    """A ScriptRunner whose ends are data: each record of a chunk is a line, and each line has its fate.

    Attributes:
        fates: what becomes of a record, by its line: a ChunkDeath to die there, `fail`, `drop`; else it is kept.
        pauses_s: how long a chunk takes, by its first line.
        runs: every run, as (first line, seed, what was skipped).
        careful: whether each was to be careful.
        stopped: whether somebody asked it to end.
    """

    entry_point: str = "process"
    fates: dict[bytes, ChunkDeath | str] = field(default_factory=dict)
    pauses_s: dict[bytes, float] = field(default_factory=dict)
    printed: str = ""
    runs: list[tuple[bytes, int, dict[int, Mapping[str, Any]]]] = field(default_factory=list)
    careful: list[bool] = field(default_factory=list)
    stopped: bool = False
    running: int = 0
    running_max: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
        """Return what the fates say."""
        lines = chunk.payload.splitlines(keepends=True)
        with self._lock:
            self.runs.append((lines[0].strip(), seed, dict(skip)))
            self.careful.append(careful)
            self.running += 1
            self.running_max = max(self.running_max, self.running)
        time.sleep(self.pauses_s.get(lines[0].strip(), 0))
        with self._lock:
            self.running -= 1
        return self._end(lines, skip, rest)

    def stop(self) -> None:
        """Remember it."""
        self.stopped = True

    def _end(
        self, lines: list[bytes], skip: Mapping[int, Mapping[str, Any]], rest: Mapping[str, Any] | None
    ) -> ChunkResult | ChunkDeath:
        kept, letters, dropped = [], [], 0
        for index, line in enumerate(lines):
            fate = self.fates.get(line.strip())
            error = skip.get(index, rest)
            if error is not None:
                letters.append(b"%s %s\n" % (line.strip(), str(error["code"]).encode()))
            elif isinstance(fate, ChunkDeath):
                return fate
            elif fate == "fail":
                letters.append(b"%s script_error\n" % line.strip())
            elif fate == "drop":
                dropped += 1
            else:
                kept.append(line)
        return ChunkResult(
            b"".join(kept),
            b"".join(letters),
            records=len(lines),
            produced=len(kept),
            dropped=dropped,
            failed=len(letters),
            rows=len(kept),
            printed=self.printed,
        )


def chunk_of(*lines: bytes, name: str = "in") -> Chunk:
    """Return a chunk with a record a line."""
    segments: tuple[tuple[object, ...], ...] = ((None, 1, 1, len(lines), len(lines)),) if lines else ()
    return Chunk(name, "ndjson", b"".join(line + b"\n" for line in lines), len(lines), segments)


@dataclass(slots=True)
class TwinReader:
    """A ChunkReader over chunks that are there already."""

    chunks: Sequence[Chunk]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    position_bytes: int = 0

    def __iter__(self) -> Iterator[Chunk]:
        """Yield them."""
        for chunk in self.chunks:
            self.position_bytes += len(chunk.payload)
            yield chunk


@dataclass(slots=True)
class TwinSandbox:
    """A Sandbox that runs nothing.

    Attributes:
        inputs: the chunks of an input, by its name; one that is not here has a chunk for each two lines.
        converted: what was asked of convert, as (spool, its format, the other format).
    """

    runner: TwinRunner = field(default_factory=TwinRunner)
    inputs: dict[str, Sequence[Chunk]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    opened: list[tuple[str, int, bool]] = field(default_factory=list)
    converted: list[tuple[bytes, str, str]] = field(default_factory=list)
    convert_fails: Exception | None = None

    def report(self) -> SandboxReport:
        """Say that all is well."""
        return SAFE

    def check(self, script: ScriptVersion) -> list[Problem]:
        """Return the problems given."""
        return self.problems

    @contextlib.contextmanager
    def open_script(self, script: ScriptVersion, *, parallel: int) -> Iterator[TwinRunner]:
        """Give the runner."""
        yield self.runner

    @contextlib.contextmanager
    def open_input(self, file: InputFile, *, chunk_records: int, as_arrow: bool) -> Iterator[TwinReader]:
        """Give the chunks of the input."""
        self.opened.append((file.name, chunk_records, as_arrow))
        yield TwinReader(self.inputs[file.name], list(self.left_out))

    def convert(self, spool_fd: int, *, spool_format: str, to: str) -> Iterator[bytes]:
        """Yield the spool in capitals."""
        spool = os.pread(spool_fd, 2**20, 0)
        self.converted.append((spool, spool_format, to))
        if self.convert_fails:
            raise self.convert_fails
        yield spool.upper()


class TwinOutput:
    """An Output in memory."""

    def __init__(self, files: TwinFiles, path: str | None) -> None:
        self._files = files
        self._path = path
        self._fd = os.memfd_create("output")
        self.size_bytes = 0
        self._open = True

    def write(self, data: bytes) -> None:
        """Append data."""
        assert self._open, "nothing is written after the end"
        self.size_bytes += os.write(self._fd, data)

    def spool_fd(self) -> int:
        """Return the descriptor of the memory."""
        return self._fd

    def commit(self) -> None:
        """Put it among the files."""
        self._files.committed[self._path] = os.pread(self._fd, 2**30, 0)
        self.discard()

    def discard(self) -> None:
        """Give the memory back, once."""
        if self._open:
            self._open = False
            self._files.open_outputs -= 1
            os.close(self._fd)


@dataclass(slots=True)
class TwinFiles:
    """Files in memory.

    Attributes:
        sizes_bytes: the inputs that exist.
        committed: the outputs that are in their place, by path.
        open_outputs: how many outputs are neither committed nor discarded.
    """

    sizes_bytes: dict[str, int] = field(default_factory=dict)
    committed: dict[str | None, bytes] = field(default_factory=dict)
    open_outputs: int = 0

    def find(self, patterns: Sequence[str]) -> list[str]:
        """Return the paths that exist."""
        for pattern in patterns:
            if pattern not in self.sizes_bytes:
                raise InputNotFound(f"{pattern} names no file", hint="Check the path.")
        return list(patterns)

    def size_bytes(self, paths: Sequence[str]) -> int | None:
        """Return the bytes of all paths together."""
        return sum(self.sizes_bytes[path] for path in paths)

    @contextlib.contextmanager
    def open(self, path: str, *, data_format: str | None) -> Iterator[InputFile]:
        """Open one input."""
        yield InputFile(path, -1, self.sizes_bytes[path], data_format)

    def create(self, path: str | None, *, spool: bool = False) -> TwinOutput:
        """Begin an output."""
        self.open_outputs += 1
        return TwinOutput(self, path)


@dataclass(slots=True)
class TwinProgress:
    """A Progress that remembers."""

    heard: list[tuple[Any, ...]] = field(default_factory=list)

    def begin(self, total_bytes: int | None) -> None:
        """Remember it."""
        self.heard.append(("begin", total_bytes))

    def advance(self, *, records: int, read_bytes: int) -> None:
        """Remember it."""
        self.heard.append(("advance", records, read_bytes))

    def printed(self, text: str) -> None:
        """Remember it."""
        self.heard.append(("printed", text))

    def end(self) -> None:
        """Remember it."""
        self.heard.append(("end",))


def counted(chunks: Iterable[Chunk], when_taken: Callable[[int], None]) -> Iterator[Chunk]:
    """Yield the chunks, and say how many have been taken each time one is."""
    for number, chunk in enumerate(chunks, 1):
        when_taken(number)
        yield chunk
