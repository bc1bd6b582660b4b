"""The plan of one pipeline of 1,000 tasks, each of which reads the tables of the two before it.

As `penstock plan` makes it, through the use case, with the records database and the lake behind it, nothing of it done
yet; the median of five. The project is loaded: looking at it is a row of its own. And the whole command, with the start
of Python and the reading of the folder. Beside it `dbt parse` of as many models, which has no records to ask; in turn,
medians of three.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from benchmarks import commands
from benchmarks.figures import Figure
from benchmarks.projects import project
from benchmarks.timing import elapsed_s, median

NUMBER: Final = 45
TITLE: Final = "`plan`: 1,000 tasks"


def measure(*, quick: bool) -> list[Figure]:
    """Return how long a plan takes."""
    from penstock.planning.pipelines import Occasion
    from penstock.wiring.local import open_local

    tasks = 20 if quick else 1_000
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name, open_local(Path(name)) as local:
        loaded = local.use(project(pipelines=1, tasks=tasks))
        occasion = Occasion("2024-03-01")
        plan_s = [
            elapsed_s(lambda: local.runs.plan(loaded.name, "p0", occasion, actor=local.actor))
            for _ in range(2 if quick else 5)
        ]
    figures = [Figure(f"plan of {tasks:,} tasks", median(plan_s) * 1e3, "ms")]
    return [*figures, *commands.beside_dbt(["plan", "p0"], project(pipelines=1, tasks=tasks), tasks, quick=quick)]
