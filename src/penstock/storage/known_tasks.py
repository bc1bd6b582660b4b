"""The tasks of runs as a process has last seen them, so that those that have not changed are not read again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from penstock.core.runs import RunTask

_KNOWN_RUNS: Final = 256  # some hundred kilobytes each at most


class KnownTasks:
    """The tasks of runs by their marks in the database.

    A mark is never given twice, so what was written and then rolled back is never taken for what is there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[str, tuple[RunTask, ...]]] = OrderedDict()

    def get(self, run: str, mark: str) -> tuple[RunTask, ...] | None:
        """Return the tasks that have a mark, None when they are not known."""
        with self._lock:
            found = self._known.get(run)
            return found[1] if found is not None and found[0] == mark else None

    def put(self, run: str, mark: str, tasks: tuple[RunTask, ...]) -> None:
        """Remember tasks."""
        with self._lock:
            self._known[run] = mark, tasks
            self._known.move_to_end(run)
            if len(self._known) > _KNOWN_RUNS:
                self._known.popitem(last=False)
