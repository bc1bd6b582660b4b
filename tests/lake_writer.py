"""`python -m tests.lake_writer FOLDER NUMBER COUNT`: a worker that publishes overlapping back-fills beside others."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import time
from pathlib import Path

from penstock.core.plan import RunId
from penstock.database.opening import open_database
from penstock.storage.tables.lake import IcebergLake
from tests.lakes import WORKSPACE, open_lake


def main() -> None:
    """Publish COUNT back-fills, each of four days that begin with its number."""
    folder, number, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with (
        contextlib.closing(open_database(f"sqlite:///{folder / 'penstock.db'}")) as database,
        open_lake(database, folder / "lake") as harness,
    ):
        harness.folder = folder / f"written-{number}"
        harness.folder.mkdir()
        parts = harness.lake._parts
        harness.lake = IcebergLake(parts.database, parts.catalog, time.time)
        for turn in range(count):
            run = f"run_{number}_{turn}"
            days = [dt.date(2024, 1, 1 + (number + turn + one) % 8) for one in range(4)]
            harness.write(run, [{"run": run, "day": day} for day in days], days=days)
            harness.lake.publish(WORKSPACE, RunId(run))


if __name__ == "__main__":
    main()
