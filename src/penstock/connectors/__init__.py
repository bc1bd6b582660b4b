"""Kinds of connections, one a file: the folder is the registry. A file that has a `CONNECTOR` is a kind by its name."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from penstock.core.ports import Connector


@functools.cache
def connectors() -> Mapping[str, Connector]:
    """Return every kind of connection by its name."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return MappingProxyType({name: found.CONNECTOR for name, found in modules.items() if hasattr(found, "CONNECTOR")})
