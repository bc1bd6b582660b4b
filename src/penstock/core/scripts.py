"""What goes into the sandbox and what comes out: script versions, inputs, chunks and their results."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NewType

from penstock.core import limits

Profile = Literal["std", "arrow", "js"]
Language = Literal["python", "javascript"]
Tier = Literal["isolated", "warm"]
DataFormat = Literal["ndjson", "csv", "arrow"]
Phase = Literal["starting", "records", "whole_chunk"]
Problem = NewType("Problem", dict[str, object])  # code, message, script_line, column, hint

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class ScriptLimits:
    """What one chunk of a script may use."""

    wall_s: float = limits.WALL.value
    cpu_s: int = limits.CPU.value
    memory_bytes: int = limits.MEMORY.value * _MIB
    output_bytes: int = limits.OUTPUT.value * _MIB
    recursion: int = limits.RECURSION.value


@dataclass(frozen=True, slots=True)
class ScriptVersion:
    """A script's code, fixed, with how it is to be run.

    Attributes:
        input_schema: JSON Schema, as text, that each record must fit, or None.
        output_schema: JSON Schema, as text, that each output record must fit, or None.
        limits_from: what says the limits: options of a command, a `version`, or a project's file, by its path.
    """

    name: str
    source: bytes
    language: Language
    profile: Profile
    tier: Tier = "isolated"
    limits: ScriptLimits = field(default_factory=ScriptLimits)
    input_schema: str | None = None
    output_schema: str | None = None
    limits_from: str = "options"


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input: an open descriptor, since the sandbox never sees a path.

    Attributes:
        name: as the user gave it, for positions and messages; `-` is standard input.
        fd: open for reading.
        size_bytes: of a regular file; None for a pipe, which is read as a stream.
        format: the user's word for it, or None to go by the name.
        encoding: how it is compressed on top of what its name and format say: `identity`, `gzip`, `zstd`, `br`.
        columns: of the table that a Parquet file is of, which its rows then have: id, name and type of each.
    """

    name: str
    fd: int
    size_bytes: int | None
    format: str | None = None
    encoding: str = "identity"
    columns: tuple[tuple[int, str, Any], ...] | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why records of a chunk failed: no values, only what can be shown to anybody."""

    code: str
    type: str | None
    script_line: int | None
    records: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most N records of one input, unparsed.

    Attributes:
        records: how many the payload holds.
        segments: where they come from, as (member, first record, first line, records, lines).
        unreadable: why further records could not even be cut out; they are not in the payload.
        dead_letters: the finished lines of those.
    """

    input: str
    format: DataFormat
    payload: bytes
    records: int
    segments: tuple[tuple[object, ...], ...]
    unreadable: tuple[Cause, ...] = ()
    dead_letters: bytes = b""
    position_bytes: int = 0

    @property
    def unreadable_records(self) -> int:
        """How many records could not be cut out."""
        return sum(cause.records for cause in self.unreadable)

    def at(self, position_bytes: int) -> Chunk:
        """Return the same chunk, with how much of all inputs has been read up to its end."""
        return replace(self, position_bytes=position_bytes)


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What became of a chunk: records = produced + dropped + failed, always."""

    output: bytes
    dead_letters: bytes
    records: int
    produced: int
    dropped: int
    failed: int
    rows: int
    causes: tuple[Cause, ...] = ()
    printed: str = ""
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ChunkDeath:
    """A chunk whose child gave no result.

    Attributes:
        code: `limit_wall`, `limit_cpu`, `crashed`, `forbidden_call`, `no_result`, `reply_forged`, or what a top level
        raised. phase: `starting` in the script's top level, `records` in a record, `whole_chunk` in none of its own.
        record: index in the chunk of the record in work; meaningful in the phase `records`.
    """

    code: str
    detail: str
    phase: Phase
    record: int
    script_line: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One forbidden act that the self-test tried in a real child."""

    name: str
    stopped: bool
    how: str


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What this machine offers, and what the self-test saw.

    Attributes:
        level: `landlock+seccomp`, `seccomp` (the kernel has no Landlock), or `none`.
    """

    kernel: str
    machine: str
    landlock_abi: int
    uid: int
    level: str
    acts: tuple[Act, ...]

    @property
    def safe(self) -> bool:
        """Whether scripts may run here: every act was tried, and every one was stopped."""
        return self.level != "none" and bool(self.acts) and all(act.stopped for act in self.acts)
