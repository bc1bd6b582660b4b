"""Those who ingest a REST source beside us: a loop by hand, and dlt, both to Parquet. All read `paged_source`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks import environments, queues
from benchmarks.paged_source import source_url

_PEERS: Final = Path(__file__).with_name("peers")
_PATIENCE_S: Final = 600.0


def by_hand_s(rows: int) -> float:
    """Return how long a loop of httpx and pyarrow takes for so many rows."""
    with queues.folder() as place:
        return _run(Path(sys.executable), "httpx_loop.py", place / "rows.parquet", rows)


def dlt_s(rows: int) -> float:
    """Return how long dlt takes for so many rows.

    Raises:
        PeerMissing: when it cannot be installed.
    """
    python = environments.python_of("dlt")
    with queues.folder() as place:
        return _run(python, "dlt_ingest.py", place, rows)


def _run(python: Path, program: str, place: Path, rows: int) -> float:
    with source_url(rows) as url:
        command = [str(python), str(_PEERS / program), url, str(place)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_PATIENCE_S, check=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == rows, f"{program} came to {found['rows']} rows, not {rows}"
    return float(found["elapsed_s"])
