"""One chunk of 1,000,000 rows x 4 columns (28 MB of Arrow) through `process_table`, 5 at a time in each way in turn.

The function adds a column, filters and returns an Arrow stream. The ways are those of the row above; a parked child
has its arenas mapped before there is a chunk, so the ratio of the CPU time says what isolation costs in all.
"""

from __future__ import annotations

from typing import Final

from benchmarks import beside
from benchmarks.figures import Figure, number
from penstock.core.scripts import Chunk, ScriptVersion

NUMBER: Final = 6
TITLE: Final = "Arrow: 1 M rows x 4 columns in one chunk"
_SCRIPT: Final = ScriptVersion(
    "totals.py",
    b"""import pyarrow.compute as pc

def process_table(table):
    total = pc.multiply(table["quantity"], table["price"])
    return table.append_column("total", total).filter(pc.greater(table["price"], 1.0))
""",
    "python",
    "arrow",
)


def measure(*, quick: bool) -> list[Figure]:
    """Return what isolated and warm tables cost beside plain ones."""
    rows, rounds, block = (100_000, 1, 4) if quick else (1_000_000, 10, 5)
    costs = beside.measure(_SCRIPT, [_chunk(rows)], emit="arrow", rounds=rounds, block=block)
    isolated, warm, plain = costs["isolated"], costs["warm"], costs["plain"]
    return [
        _ratio("isolated CPU / plain, pre-faulting counted", isolated.cpu_ms, plain.cpu_ms, 3.0),
        _ratio("isolated latency / plain", isolated.latency_ms, plain.latency_ms),
        _ratio("warm latency / plain", warm.latency_ms, plain.latency_ms, 1.5),
        _ratio("warm CPU / plain", warm.cpu_ms, plain.cpu_ms),
    ]


def _chunk(rows: int) -> Chunk:
    import numpy as np
    import pyarrow as pa

    chance = np.random.default_rng(1)
    columns = {
        "order": pa.array(np.arange(rows)),
        "quantity": pa.array(chance.integers(1, 100, rows, dtype=np.int32)),
        "price": pa.array(chance.random(rows) * 20),
        "weight": pa.array(chance.random(rows)),
    }
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return Chunk("orders.parquet", "arrow", sink.getvalue().to_pybytes(), rows, ((None, 1, 1, rows, 0),))


def _ratio(name: str, ours_ms: float, peer_ms: float, at_most: float | None = None) -> Figure:
    return Figure(name, ours_ms / peer_ms, "x", f"{number(ours_ms)} ms / {number(peer_ms)} ms", at_most=at_most)
