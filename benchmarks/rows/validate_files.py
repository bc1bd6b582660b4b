"""A project of 200 SQL files in 10 pipelines, as `penstock validate` looks at it.

In a process that has done it before, the median of ten; and the whole command, with the start of Python and the reading
of the folder, its CPU time and all of it. Beside it `dbt parse` of as many models, from nothing; in turn, medians of
three.
"""

from __future__ import annotations

from typing import Final

from benchmarks import commands
from benchmarks.figures import Figure
from benchmarks.projects import project
from benchmarks.timing import elapsed_s, median

NUMBER: Final = 44
TITLE: Final = "`validate`: 200 files of SQL"


def measure(*, quick: bool) -> list[Figure]:
    """Return how long a look at a project takes."""
    from penstock.wiring.folder import check_files

    files = project(pipelines=10, tasks=2 if quick else 20)
    count = sum(name.endswith(".sql") for name in files)
    check_files(files)
    warm_s = [elapsed_s(lambda: check_files(files)) for _ in range(2 if quick else 10)]
    figures = [Figure(f"{count} files, warm", median(warm_s) * 1e3, "ms")]
    return [*figures, *commands.beside_dbt(["validate"], files, count, quick=quick)]
