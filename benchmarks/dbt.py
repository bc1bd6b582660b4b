"""dbt beside our `validate` and `plan`: `dbt parse` of as many models, each reading the one before it, on DuckDB."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

from benchmarks import environments, queues

_PATIENCE_S: Final = 600.0
_PROJECT: Final = """\
name: bench
version: "1.0"
config-version: 2
profile: bench
model-paths: [models]
flags:
  send_anonymous_usage_stats: false
"""
_PROFILES: Final = """\
bench:
  target: dev
  outputs:
    dev: {type: duckdb, path: bench.duckdb}
"""


def parse_s(models: int) -> float:
    """Return how long `dbt parse` takes for so many models, from nothing; its start is part of it, as it is of ours.

    Raises:
        PeerMissing: when it cannot be installed.
    """
    program = environments.python_of("dbt").with_name("dbt")
    with queues.folder() as place:
        write_project(place, models)
        began_s = time.perf_counter()
        subprocess.run(
            [str(program), "--quiet", "--no-partial-parse", "parse", "--profiles-dir", str(place)],
            cwd=place,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=True,
        )
        return time.perf_counter() - began_s


def write_project(place: Path, models: int) -> None:
    """Write a project of so many models, each with a description and two tests of its column."""
    (place / "models").mkdir()
    (place / "dbt_project.yml").write_text(_PROJECT, "utf-8")
    (place / "profiles.yml").write_text(_PROFILES, "utf-8")
    described = ["version: 2", "models:"]
    for number in range(models):
        source = "select 1 as id" if number == 0 else f"select id from {{{{ ref('model_{number - 1:04}') }}}}"
        (place / "models" / f"model_{number:04}.sql").write_text(source + "\n", "utf-8")
        described += [
            f"  - name: model_{number:04}",
            f"    description: the {number}th",
            "    columns: [{name: id, tests: [not_null, unique]}]",
        ]
    (place / "models" / "schema.yml").write_text("\n".join(described) + "\n", "utf-8")
