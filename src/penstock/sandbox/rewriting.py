"""Writing the rows of several files into one, in a locked child: what the upkeep of tables needs of an engine."""

from __future__ import annotations

from pathlib import Path

from penstock.core import duckdb_sql
from penstock.core.engines import EngineFailure, EngineRequest
from penstock.core.errors import TableUnreadable
from penstock.core.tables import Reading
from penstock.sandbox.heavy import HeavySandbox


class LockedRewrite:
    """Rewrites readings in children of the heavy sandbox."""

    def __init__(self, sandbox: HeavySandbox) -> None:
        self._sandbox = sandbox

    def __call__(self, reading: Reading, path: Path) -> None:
        """Write the rows of a reading into one Parquet file with the same field ids.

        Args:
            reading: its files are local.
            path: of the new file, in a folder where nothing else is of worth.

        Raises:
            TableUnreadable: when the engine cannot do it.
            SandboxUnsafe: when engines cannot be locked here.
        """
        files = [file.path for file in reading.files]
        ask = {
            "tables": {"rows": {"relation": duckdb_sql.relation(reading)}},
            "sql": "SELECT * FROM rows",
            "output": {
                "name": path.name,
                "options": ["COMPRESSION zstd", f"FIELD_IDS {duckdb_sql.field_ids(reading.columns)}"],
            },
            "readable": files,
        }
        ended = self._sandbox.run(EngineRequest(profile="sql", ask=ask, reads=files, writes=str(path.parent)))
        if isinstance(ended, EngineFailure):
            raise TableUnreadable(
                f"{len(files)} files of {reading.table} cannot be made one: {ended.code}: {ended.message}",
                hint="Nothing was changed. Look at the table's files, and run the upkeep again.",
            )
