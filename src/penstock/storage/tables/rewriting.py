"""Rewriting small files into one with DuckDB, for the upkeep of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from penstock.core import duckdb_sql
from penstock.core.tables import Reading

_MEMORY: Final = "512MB"


def rewrite(reading: Reading, path: Path) -> None:
    """Write the rows of a reading into one Parquet file with the same field ids, in their order."""
    import duckdb  # it starts in 50 ms, and most processes never compact

    with duckdb.connect(config={"threads": 1, "memory_limit": _MEMORY, "temp_directory": str(path.parent)}) as database:
        database.execute(duckdb_sql.copy(duckdb_sql.relation(reading), str(path), reading.columns))
