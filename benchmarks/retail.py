"""Retail data for benchmarks: the example's cleaner and generator, and the real file where it is."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import orjson

from penstock.core.scripts import Chunk

_PROJECT: Final = Path(__file__).parents[1]
_EXAMPLE: Final = _PROJECT / "examples/retail"
_REAL: Final = Path("uci-online-retail/by-day.tar.gz")
CLEANER: Final = _EXAMPLE / "clean.py"
RECORDS_AN_ORDER: Final = 15  # at the least, on average


def generate(path: Path, *, orders: int) -> Path:
    """Write generated order lines, the same ones every time; the ending of the name says in which form."""
    command = [sys.executable, str(_EXAMPLE / "generate.py"), "--orders", str(orders), "--seed", "1", "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def ndjson_chunks(number: int, *, records: int, folder: Path) -> Iterator[Chunk]:
    """Yield so many chunks of generated order lines as NDJSON, every field as CSV has it."""
    path = generate(folder / "orders.csv", orders=number * records // RECORDS_AN_ORDER)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        names = next(rows)
        for _ in range(number):
            lines = [
                orjson.dumps(dict(zip(names, [field or None for field in row], strict=True)))
                for row in islice(rows, records)
            ]
            assert len(lines) == records, f"{path.name} has too few order lines"
            payload = b"\n".join(lines) + b"\n"
            yield Chunk("orders.ndjson", "ndjson", payload, records, ((None, 1, 1, records, records),))


def real_archive() -> Path | None:
    """Return the real file: 541,909 order lines in 305 CSV files; None where it is not."""
    path = Path(os.environ.get("PENSTOCK_DATA", _PROJECT.parent / "shared" / "data")) / _REAL
    return path if path.is_file() else None
