"""Trying scripts in the real sandbox: a few records in, what became of them out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.core.scripts import Chunk, ChunkDeath, ChunkResult, Language, Profile, ScriptLimits, ScriptVersion
from penstock.sandbox.strict import StrictSandbox

# How a script comes by what it cannot import: the language layer is friendly, and no boundary.
REACH = """
import json
sys = json.codecs.sys
os, ctypes, time, mmap = sys.modules["os"], sys.modules["ctypes"], sys.modules["time"], sys.modules.get("mmap")
"""


def script_of(
    source: str, *, profile: Profile = "std", warm: bool = False, name: str | None = None, **bounds: Any
) -> ScriptVersion:
    """Return a script from its text; bounds are fields of ScriptLimits."""
    language: Language = "javascript" if profile == "js" else "python"
    return ScriptVersion(
        name or ("script.js" if profile == "js" else "script.py"),
        textwrap.dedent(source).encode(),
        language,
        profile,
        "warm" if warm else "isolated",
        ScriptLimits(**bounds),
    )


def chunk_of(records: Sequence[Mapping[str, Any]] | int) -> Chunk:
    """Return a chunk of some records; a number stands for so many of `{"n": 0}`, `{"n": 1}` and so on."""
    if isinstance(records, int):
        records = [{"n": number} for number in range(records)]
    payload = "".join(json.dumps(record) + "\n" for record in records).encode()
    return Chunk("in.ndjson", "ndjson", payload, len(records), ((None, 1, 1, len(records), len(records)),))


def end_of(
    sandbox: StrictSandbox,
    source: str,
    records: Sequence[Mapping[str, Any]] | int = 1,
    *,
    seed: int = 1,
    emit: str = "ndjson",
    skip: Mapping[int, Mapping[str, Any]] | None = None,
    rest: Mapping[str, Any] | None = None,
    careful: bool = False,
    **options: Any,
) -> ChunkResult | ChunkDeath:
    """Run a script over one chunk, once, and return how that ended."""
    with sandbox.open_script(script_of(source, **options), parallel=1) as runner:
        return runner.run(chunk_of(records), seed=seed, emit=emit, skip=skip or {}, rest=rest, careful=careful)


def result_of(
    sandbox: StrictSandbox, source: str, records: Sequence[Mapping[str, Any]] | int = 1, **options: Any
) -> ChunkResult:
    """Run a script over one chunk that it lives through."""
    end = end_of(sandbox, source, records, **options)
    assert isinstance(end, ChunkResult), end
    return end


def death_of(
    sandbox: StrictSandbox, source: str, records: Sequence[Mapping[str, Any]] | int = 1, **options: Any
) -> ChunkDeath:
    """Run a script over one chunk that ends its child."""
    end = end_of(sandbox, source, records, **options)
    assert isinstance(end, ChunkDeath), end
    return end


def records_of(result: ChunkResult) -> list[dict[str, Any]]:
    """Return what came out."""
    return [json.loads(line) for line in result.output.splitlines()]


def letters_of(result: ChunkResult) -> list[dict[str, Any]]:
    """Return the dead letters."""
    return [json.loads(line) for line in result.dead_letters.splitlines()]


def errors_of(result: ChunkResult) -> list[dict[str, Any]]:
    """Return the errors of the dead letters."""
    return [letter["error"] for letter in letters_of(result)]
