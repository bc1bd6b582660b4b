"""Script versions opened in the sandbox as the product opens them, with no file and no terminal around it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from penstock.core.scripts import Chunk, ChunkDeath, ChunkResult, ScriptVersion
from penstock.sandbox.strict import StrictSandbox, StrictScriptRunner

CORES: Final = len(os.sched_getaffinity(0))
TRIVIAL_PYTHON: Final = ScriptVersion("trivial.py", b"def process(data):\n    return data\n", "python", "std")
TRIVIAL_JAVASCRIPT: Final = ScriptVersion(
    "trivial.js", b"function process(data) { return data; }\n", "javascript", "js"
)
TRIVIAL_CHUNK: Final = Chunk("trivial", "ndjson", b'{"a":1}\n', 1, ((None, 1, 1, 1, 1),))


@contextlib.contextmanager
def opened(script: ScriptVersion, *, parallel: int = CORES) -> Iterator[StrictScriptRunner]:
    """Prepare a script and keep children of it parked while the context lasts."""
    with (
        contextlib.closing(StrictSandbox()) as sandbox,
        sandbox.open_script(script, parallel=parallel) as runner,
    ):
        yield runner


def run(runner: StrictScriptRunner, chunk: Chunk = TRIVIAL_CHUNK, *, emit: str = "ndjson") -> ChunkResult:
    """Run a script over one chunk, in which nothing may fail."""
    result = runner.run(chunk, seed=1, emit=emit, skip={})
    assert not isinstance(result, ChunkDeath), result
    assert result.failed == 0, result
    return result
