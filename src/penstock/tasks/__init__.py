"""Task kinds, one a file: the folder is the registry."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from penstock.core.ports import Connector, RunTaskKind, TaskKind
from penstock.core.ports.checks import Suites
from penstock.tasks.script import ScriptTask

KINDS: dict[str, TaskKind] = {"script": ScriptTask()}
ENTRY_POINTS: Final = "penstock.tasks"


def run_kinds(*, suites: Suites, connectors: Mapping[str, Connector] | None = None) -> Mapping[str, RunTaskKind]:
    """Return the kinds of tasks that pipelines have, by name.

    A kind is the `KIND` of a module in this folder, or what a package has under the entry points `penstock.tasks`. Its
    name is its attribute `name`, or that of the module or the entry point.

    Args:
        suites: what reads suites; a kind that has a method `using` is given it.
        connectors: by kind of connection; a kind that has a method `connecting` is given them.
    """
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "KIND", None)
        if kind is not None:
            found[getattr(kind, "name", module.name)] = kind
    for entry in entry_points(group=ENTRY_POINTS):
        found.setdefault(entry.name, entry.load())
    return {name: _equipped(kind, suites, connectors or {}) for name, kind in sorted(found.items())}


def _equipped(kind: Any, suites: Suites, connectors: Mapping[str, Connector]) -> Any:
    kind = kind.using(suites) if hasattr(kind, "using") else kind
    return kind.connecting(connectors) if hasattr(kind, "connecting") else kind
