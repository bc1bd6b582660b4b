"""One file for each type of expectation, or small family of types; this folder is the registry.

A file's docstring is its page of the reference. Its `EXPECTATIONS` are its types by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType

from penstock.checks.check import ExpectationType


def families() -> Mapping[str, ModuleType]:
    """Return the files of this folder by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def discover() -> Mapping[str, ExpectationType]:
    """Return every type of expectation by name."""
    return {name: found for family in families().values() for name, found in family.EXPECTATIONS.items()}
