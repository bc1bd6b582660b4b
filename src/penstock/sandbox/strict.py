"""The `strict` sandbox class: scripts, readers and writers, each in locked children of its own version zygote."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from penstock.core import limits
from penstock.core.errors import InputUnreadable, OutputFailed, SandboxUnsafe, ScriptRejected
from penstock.core.record_errors import SENTENCES
from penstock.core.scripts import (
    Cause,
    Chunk,
    ChunkDeath,
    ChunkResult,
    InputFile,
    Phase,
    Problem,
    SandboxReport,
    ScriptVersion,
)
from penstock.sandbox import selftest
from penstock.sandbox.children import Children, Claim, Death, Reply, Seat
from penstock.sandbox.meters import Meter
from penstock.sandbox.zygotes import BOOT, BaseZygote, VersionZygote
from penstock_guest import wire
from penstock_guest.profiles import WITH_SCHEMAS

_MIB: Final = 2**20
_FEED_BYTES: Final = _MIB
_CHUNK_BYTES: Final = 2 * limits.CHUNK_BYTES.value * _MIB  # a chunk, and room for its CSV header or Arrow framing
_DEAD_LETTERS_BYTES: Final = 256 * _MIB  # a whole chunk of them, with the column names in each
_CARRIER_OUTPUT_BYTES: Final = 256 * _MIB  # a chunk's dead letters, or a Parquet row group
_NO_CPU_LIMIT_S: Final = 2**31 - 2  # a session lasts as long as its input; each block has its wall time


class StrictSandbox:
    """Children without files, network, threads or new executable memory.

    Base zygotes start when a profile is first needed and end with `close`. The self-test runs once, before the first
    script.

    Args:
        boot: the program of base zygotes; the escape suite passes one that leaves locks out.
    """

    def __init__(self, *, boot: Path = BOOT) -> None:
        self._boot = boot
        self._bases: dict[str, BaseZygote] = {}
        self._reports: dict[str, SandboxReport] = {}
        self._starting = threading.Lock()

    def start(self, profile: str) -> BaseZygote:
        """Return the profile's base zygote, started but perhaps not ready yet."""
        with self._starting:
            if profile in self._bases and not self._bases[profile].alive:
                self._bases.pop(profile).close()
            if profile not in self._bases:
                self._bases[profile] = BaseZygote(profile, boot=self._boot)
            return self._bases[profile]

    def close(self) -> None:
        """End all zygotes and their children."""
        for base in self._bases.values():
            base.close()
        self._bases.clear()

    def report(self, profile: str = "std") -> SandboxReport:
        """Return what the live self-test shows on this machine, in children of a profile."""
        if profile not in self._reports:
            self._reports[profile] = selftest.run(self.start(profile))
        return self._reports[profile]

    def require_safe(self, profile: str) -> None:
        """Raise SandboxUnsafe unless every forbidden act is stopped in children of a profile."""
        report = self.report(profile)
        if not report.safe:
            worked = ", ".join(act.name for act in report.acts if not act.stopped) or "the self-test itself did not run"
            raise SandboxUnsafe(
                f"scripts cannot run safely on this machine; what a script could do: {worked}",
                hint="Run: penstock doctor. There is no way to run scripts without the sandbox.",
            )

    def check(self, script: ScriptVersion) -> list[Problem]:
        """Return what would keep the script from running."""
        try:
            with self.open_script(script, parallel=1) as runner:
                return _top_level_problems(runner, script) if script.language == "javascript" else []
        except ScriptRejected as rejected:
            return rejected.problems

    @contextlib.contextmanager
    def open_script(self, script: ScriptVersion, *, parallel: int) -> Iterator[StrictScriptRunner]:
        """Prepare a script version and keep children of it parked while the context lasts."""
        children, entry_point = self.start_script(script, seats=2 * parallel)
        with contextlib.closing(children):
            yield StrictScriptRunner(script, children, entry_point)

    def start_script(self, script: ScriptVersion, *, seats: int) -> tuple[Children, str]:
        """Prepare a script version, and return its parked children and the name of its function."""
        spec, schemas = _script_spec(script), _schemas(script)
        if schemas:
            spec["schemas_bytes"] = len(schemas)
        profile = script.profile + (WITH_SCHEMAS if schemas else "")
        zygote = self._fork(profile, spec, script.source + schemas)
        return Children(zygote, spec, seats=seats), zygote.entry_point

    @contextlib.contextmanager
    def open_input(
        self, file: InputFile, *, chunk_records: int, as_arrow: bool, meter: Meter | None = None
    ) -> Iterator[StrictReader]:
        """Open one input for reading in a locked child, whose CPU time the meter counts."""
        streamed = not file.size_bytes  # an empty file cannot be mapped, but it can be read
        reading = {
            "name": file.name,
            "format": file.format,
            "encoding": file.encoding,
            "records_max": chunk_records,
            "as_arrow": as_arrow,
            "columns": file.columns,
        }
        spec = _carrier_spec("read", file.name, file.size_bytes or _FEED_BYTES)
        spec |= {"streamed": streamed, "size_bytes": file.size_bytes, "reading": reading}
        zygote = self._fork("arrow" if as_arrow or "parquet" in (file.format or file.name) else "std", spec)
        with contextlib.closing(Children(zygote, spec, seats=1, input_fd=None if streamed else file.fd)) as children:
            yield StrictReader(file, children, meter)

    def convert(self, spool_fd: int, *, spool_format: str, to: str, meter: Meter | None = None) -> Iterator[bytes]:
        """Yield the blocks of the spool's records in another format, made in a locked child that the meter counts."""
        size_bytes = os.fstat(spool_fd).st_size
        spec = _carrier_spec("write", f"the {to} writer", max(size_bytes, 1))  # nothing at all cannot be mapped
        spec |= {"size_bytes": size_bytes, "writing": {"spool_format": spool_format, "to": to}}
        zygote = self._fork("arrow" if to == "parquet" or spool_format == "arrow" else "std", spec)
        with contextlib.closing(Children(zygote, spec, seats=1, input_fd=spool_fd)) as children:
            seat = children.take(meter=meter)
            while "end" not in (reply := _sound(children.ask(seat, {}), spec["name"], OutputFailed)).message:
                yield reply.output

    def start_program(self, profile: str, spec: dict[str, Any], *, seats: int) -> Children:
        """Return parked children of one of Penstock's own programs."""
        return Children(self._fork(profile, spec), spec, seats=seats)

    def _fork(self, profile: str, spec: dict[str, Any], source: bytes = b"") -> VersionZygote:
        self.require_safe(profile)
        return self.start(profile).fork_version(spec, source)


class StrictScriptRunner:
    """Runs chunks of one script version; safe to call from several threads."""

    def __init__(self, script: ScriptVersion, children: Children | Claim, entry_point: str) -> None:
        self._limit_words = _limit_words(script)
        self._children = children
        self.entry_point = entry_point

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
        """Return what became of the chunk, or how its child died."""
        request = {
            "format": chunk.format,
            "input": chunk.input,
            "input_bytes": len(chunk.payload),
            "segments": chunk.segments,
            "seed": seed,
            "emit": emit,
            "skip": {str(index): error for index, error in skip.items()},
            "rest": rest,
            "careful": careful,
        }
        reply = self._children.run(request, chunk.payload, records=chunk.records)
        if isinstance(reply, Death):
            detail = self._limit_words.get(reply.code, reply.detail)
            return ChunkDeath(
                reply.code, detail, phase=_PHASES.get(reply.mark.phase, "whole_chunk"), record=reply.mark.record
            )
        return _top_level_failed(reply) if "error" in reply.message else _result(reply, chunk)

    def stop(self) -> None:
        """End the children, those at work too."""
        self._children.stop()


class StrictReader:
    """The chunks of one input; the next one is cut while the present one is in use.

    Attributes:
        position_bytes: how much of the raw input has been read.
        skipped: members of an archive that hold no data, with the reason.
    """

    def __init__(self, file: InputFile, children: Children, meter: Meter | None) -> None:
        self._file = file
        self._children = children
        self._meter = meter
        self._seat: Seat | None = None
        self.position_bytes = 0
        self.skipped: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks in order."""
        seat = self._seat = self._children.take(meter=self._meter)
        self._children.tell(seat, {})
        while "end" not in (reply := self._hear(seat)).message:
            self._children.tell(seat, {})
            self.position_bytes = reply.message["position_bytes"]
            self.skipped += [(member, reason) for member, reason in reply.message["skipped"]]
            yield _chunk(self._file.name, reply)

    def stop(self) -> None:
        """End the child that reads; whoever waits for the next chunk is told."""
        if self._seat is not None:
            self._children.end(self._seat)

    def _hear(self, seat: Seat) -> Reply:
        while True:
            reply = _sound(self._children.hear(seat), self._file.name, InputUnreadable)
            if "feed" not in reply.message:
                return reply
            data = os.read(self._file.fd, _FEED_BYTES)
            self._children.tell(seat, {"input_bytes": len(data)}, data)


_DETAIL_CHARACTERS_MAX: Final = 1000
_NAME_CHARACTERS_MAX: Final = 100
_FORGED: Final = ChunkDeath("reply_forged", "the account it gave of its records does not add up", "whole_chunk", 0)
_PHASES: Final[dict[int, Phase]] = {wire.STARTING: "starting", wire.RECORDS: "records", wire.WHOLE_CHUNK: "whole_chunk"}


def _script_spec(script: ScriptVersion) -> dict[str, Any]:
    return {
        "program": script.language,
        "name": script.name,
        "profile": script.profile,
        "warm": script.tier == "warm",
        "limit_words": _limit_words(script),
        "input_bytes": _CHUNK_BYTES,
        **asdict(script.limits),
        "records_bytes": script.limits.output_bytes,
        "output_bytes": script.limits.output_bytes + _DEAD_LETTERS_BYTES,
        "reply_bytes": limits.SCRIPT_REPLY.value * 2**10,
    }


def _schemas(script: ScriptVersion) -> bytes:
    """Return the version's schemas as they lie behind its source, nothing when it has none."""
    if script.input_schema is None and script.output_schema is None:
        return b""
    return orjson.dumps({"input": script.input_schema, "output": script.output_schema})


def _limit_words(script: ScriptVersion) -> dict[str, str]:
    """Return, for each limit's code, a sentence with its name, its value, and what raises it for this script."""
    bounds = script.limits
    values = {
        limits.WALL: (f"{bounds.wall_s:g}", "wall_s"),
        limits.CPU: (bounds.cpu_s, "cpu_s"),
        limits.MEMORY: (bounds.memory_bytes // _MIB, "memory_mib"),
        limits.OUTPUT: (bounds.output_bytes // _MIB, "output_mib"),
        limits.RECURSION: (bounds.recursion, "recursion"),
    }
    raises = {
        limit: {"options": limit.flag, "version": f"a version that is pushed with {limit.flag}"}.get(
            script.limits_from, f"`limits: {{{key}: ...}}` in {script.limits_from}"
        )
        for limit, (_, key) in values.items()
    }
    return {
        str(limit.code): f"the {limit.name} limit of {value} {limit.unit} was reached; {raises[limit]} raises it"
        for limit, (value, _) in values.items()
    }


def _carrier_spec(program: str, name: str, input_bytes: int) -> dict[str, Any]:
    return {
        "program": program,
        "name": name,
        "warm": True,  # one child for the whole session
        "input_bytes": input_bytes,
        "records_bytes": _CARRIER_OUTPUT_BYTES,
        "output_bytes": _CARRIER_OUTPUT_BYTES,
        "reply_bytes": limits.CARRIER_REPLY.value * 2**10,
        "wall_s": limits.WALL.value,
        "cpu_s": _NO_CPU_LIMIT_S,
        "memory_bytes": limits.CARRIER_MEMORY.value * _MIB,
    }


def _sound(reply: Reply | Death, name: str, error: type[InputUnreadable | OutputFailed]) -> Reply:
    """Return a reply that says that all is well, or raise what it says instead."""
    if isinstance(reply, Death):
        hint = f"It may need more than {limits.CARRIER_MEMORY.value} MiB; cut it into smaller files."
        raise error(f"{name}: the process that handled it ended ({reply.detail})", hint=hint)
    if broken := reply.message.get("broken"):
        places = [broken.get("member"), broken.get("line") and f"line {broken['line']}", _offset(broken)]
        where = ", ".join(str(place) for place in places if place)
        raise error(f"{name}: {broken['message']}" + (f" ({where})" if where else ""), hint=broken["hint"])
    return reply


def _offset(broken: Mapping[str, Any]) -> str | None:
    return f"byte {broken['offset_bytes']:,}" if broken.get("offset_bytes") is not None else None


def _chunk(name: str, reply: Reply) -> Chunk:
    message = reply.message
    causes = tuple(Cause(*cause) for cause in message["causes"])
    segments = tuple(tuple(segment) for segment in message["segments"])
    return Chunk(name, message["format"], reply.output, message["records"], segments, causes, reply.dead_letters)


def _top_level_failed(reply: Reply) -> ChunkDeath:
    try:
        error = reply.message["error"]
        code, kind, message, line = (error[name] for name in ("code", "type", "message", "script_line"))
        detail = f"{kind}: {message}" if kind and code == "script_error" else str(message)
        return ChunkDeath(str(code), detail[:_DETAIL_CHARACTERS_MAX], "starting", 0, line and int(line))
    except (LookupError, TypeError, ValueError):
        return _FORGED


def _top_level_problems(runner: StrictScriptRunner, script: ScriptVersion) -> list[Problem]:
    """Return what a script's top level raises; for a language that cannot be compiled without running it."""
    nothing = Chunk(script.name, "ndjson", b"", 0, ())
    end = runner.run(nothing, seed=0, emit="ndjson", skip={})
    if isinstance(end, ChunkResult):
        return []
    code = "script_syntax" if end.detail.startswith("SyntaxError") else "script_failed"
    code = end.code if end.code in ("script_entry_point", "limit_cpu", "limit_wall", "limit_memory") else code
    place: dict[str, object] = {"script_line": end.script_line, "column": None}
    return [Problem(place | {"code": code, "message": end.detail, "hint": "Correct the script."})]


def _cause(code: Any, kind: Any, line: Any, count: Any) -> Cause:
    """Return why records failed, as a child that ran tenant code says.

    Raises:
        TypeError: when that is none of the reasons that there are.
    """
    types = isinstance(code, str), isinstance(kind, str | None), isinstance(line, int | None), isinstance(count, int)
    if not all(types) or code not in SENTENCES:
        raise TypeError("no cause")
    return Cause(code, kind and kind[:_NAME_CHARACTERS_MAX], line, count)


def _result(reply: Reply, chunk: Chunk) -> ChunkResult | ChunkDeath:
    message = reply.message
    try:
        counts = [int(message[name]) for name in ("records", "produced", "dropped", "failed", "rows")]
        causes = tuple(_cause(*cause) for cause in message["causes"])
        printed = str(message["printed"])
    except (KeyError, TypeError, ValueError):
        return _FORGED
    records, produced, dropped, failed, rows = counts
    # The child ran tenant code: its account is only believed where it adds up with what was given to it.
    if min(counts) < 0 or records != chunk.records or produced + dropped + failed != records:
        return _FORGED
    return ChunkResult(reply.output, reply.dead_letters, records, produced, dropped, failed, rows, causes, printed)
