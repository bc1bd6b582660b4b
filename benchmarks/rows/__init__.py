"""One file a benchmark; this folder is the registry.

Each has a `NUMBER` for its place in the table, a `TITLE`, a docstring that says how it is measured, and `measure`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import Figure


def discover() -> dict[str, Any]:
    """Return every benchmark by name, in the order of the table."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    rows = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return dict(sorted(rows.items(), key=lambda row: row[1].NUMBER))


def measure(row: Any, *, quick: bool) -> Sequence[Figure]:
    """Return the figures of one benchmark; quick ones only show that it works."""
    figures: Sequence[Figure] = row.measure(quick=quick)
    return figures
