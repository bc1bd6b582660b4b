"""What is loaded or made it is first used: a command that does without starts sooner."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

ValueT = TypeVar("ValueT")


class Lazily:
    """A module that is imported when an attribute of it is first asked for.

    Args:
        name: of the module, whole.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the module."""
        found = getattr(importlib.import_module(self._name), name)
        setattr(self, name, found)
        return found


class LazyMapping(Mapping[str, ValueT]):
    """A mapping that is made when it is first looked into.

    Args:
        make: gives what is in it.
    """

    def __init__(self, make: Callable[[], Mapping[str, ValueT]]) -> None:
        self._make = functools.cache(make)

    def __getitem__(self, key: str) -> ValueT:
        return self._make()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())
