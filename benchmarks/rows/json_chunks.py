"""500 chunks of 10,000 order lines as NDJSON through the retail cleaner, 20 at a time in each way in turn, one by one.

Isolated: every chunk has a fresh child; warm: one child; plain: the guest's loop in a process without sandbox, with
the same malloc and GC settings. Every way gives the same bytes. Latency is from bytes to bytes. CPU is that of all
processes: parking, pre-faulting, running, reaping, clearing the arenas.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from benchmarks import beside, retail
from benchmarks.figures import Figure, number
from penstock.core.scripts import ScriptVersion

NUMBER: Final = 5
TITLE: Final = "JSON: the retail cleaner, chunks of 10,000 records, bytes to bytes"
_DISTINCT: Final = 20


def measure(*, quick: bool) -> list[Figure]:
    """Return what isolated and warm chunks cost beside plain ones."""
    distinct, rounds, block = (2, 1, 4) if quick else (_DISTINCT, 25, 20)
    script = ScriptVersion("clean.py", retail.CLEANER.read_bytes(), "python", "std")
    with tempfile.TemporaryDirectory() as folder:
        chunks = list(retail.ndjson_chunks(distinct, records=10_000, folder=Path(folder)))
    costs = beside.measure(script, chunks, emit="ndjson", rounds=rounds, block=block)
    isolated, warm, plain = costs["isolated"], costs["warm"], costs["plain"]
    return [
        _ratio("isolated latency / plain", isolated.latency_ms, plain.latency_ms, 1.3),
        _ratio("isolated CPU / plain", isolated.cpu_ms, plain.cpu_ms, 2.0),
        _ratio("warm latency / plain", warm.latency_ms, plain.latency_ms, 1.05),
        _ratio("warm CPU / plain", warm.cpu_ms, plain.cpu_ms),
        Figure("isolated records a second, one chunk at a time", 1e7 / isolated.latency_ms, "/s"),
    ]


def _ratio(name: str, ours_ms: float, peer_ms: float, at_most: float | None = None) -> Figure:
    return Figure(name, ours_ms / peer_ms, "x", f"{number(ours_ms)} ms / {number(peer_ms)} ms", at_most=at_most)
