"""Lines of a file in batches, bounded in rows and in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock.core import limits


def batches(file: Path, *, rows_max: int) -> Iterator[list[bytes]]:
    """Yield the lines of a file, without their ends, so many at once or fewer where they are long."""
    bytes_max = limits.SOURCE_PAGE.value * 2**20
    batch: list[bytes] = []
    size = 0
    with file.open("rb") as lines:
        for line in lines:
            if batch and (len(batch) >= rows_max or size + len(line) > bytes_max):
                yield batch
                batch, size = [], 0
            batch.append(line.rstrip(b"\n"))
            size += len(line)
    if batch:
        yield batch
