"""An engine that is started before it is known what it will be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from penstock.execution.table_writes import Ask


class ReadyEngine:
    """At most one engine, for one conversation over files of the staging folder; to be closed."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._ask: Ask | None = None

    @property
    def there(self) -> bool:
        """Whether one was started and is not used yet."""
        return self._ask is not None

    def start(self, talk: Callable[[], AbstractContextManager[Ask]]) -> None:
        """Start an engine, unless there is one, and wait for nothing."""
        if self._ask is None:
            self._ask = self._stack.enter_context(talk())

    @contextlib.contextmanager
    def used(self, files: Mapping[str, str]) -> Iterator[Ask]:
        """Give what asks the engine that is there, once it knows these views; it is ended afterwards."""
        assert self._ask is not None, "only one that is there is used"
        ask, self._ask = self._ask, None
        with contextlib.closing(self._stack.pop_all()):
            ask({"act": "views", "views": dict(files)})
            yield ask

    def close(self) -> None:
        """End an engine that nobody has used."""
        self._ask = None
        self._stack.close()
