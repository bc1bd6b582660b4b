"""Those who ingest a REST source beside us: a loop by hand, and dlt, both to Parquet, which nobody publishes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks import environments, queues

_PEERS: Final = Path(__file__).with_name("peers")
_PATIENCE_S: Final = 600.0


def by_hand_s(url: str, rows: int) -> float:
    """Return how long a loop of httpx and pyarrow takes for the rows of `paged_source`."""
    return _run(Path(sys.executable), "httpx_loop.py", "rows.parquet", url, rows)


def dlt_s(url: str, rows: int) -> float:
    """Return how long dlt takes for the rows of `paged_source`.

    Raises:
        PeerMissing: when it cannot be installed.
    """
    return _run(environments.python_of("dlt"), "dlt_ingest.py", "", url, rows)


def _run(python: Path, program: str, to: str, url: str, rows: int) -> float:
    with queues.folder() as place:
        command = [str(python), str(_PEERS / program), url, str(place / to)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_PATIENCE_S, check=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == rows, f"{program} came to {found['rows']} rows, not {rows}"
    return float(found["elapsed_s"])
