"""What an attempt tells while it runs: how far it has come, and lines for people; written a few times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from penstock.core import limits
from penstock.core.ports import Clock, Database, Occurrence
from penstock.core.ports.runs import AttemptRecords
from penstock.core.runs import LogLine, TaskProgress

_TELL_S: Final = limits.TASK_TELL.value / 1000
_TEXT_CHARACTERS_MAX: Final = 2_000


class Telling:
    """Writes what one attempt says; safe to use from several threads.

    Args:
        database: the records database.
        records: where it is kept.
        of: the attempt.
        number: of the item, where the task is done for several.
        clock: gives seconds since 1970.
    """

    def __init__(
        self, database: Database, records: AttemptRecords, of: Occurrence, *, number: int, clock: Clock
    ) -> None:
        self._database, self._records, self._of = database, records, of
        self._number, self._clock = number, clock
        self._lock = threading.Lock()
        self._lines: list[LogLine] = []
        self._said = 0
        self._told_s = 0.0
        self._progress: TaskProgress | None = None

    def progress(self, done: int, *, total: int | None, unit: str) -> None:
        """Tell how far the attempt has come."""
        self._progress = TaskProgress(self._of.task, self._number, done, total, unit, self._clock())
        self._now_and_then()

    def log(self, text: str, *, level: str, figures: Mapping[str, Any]) -> None:
        """Say something to people; what is too much is counted."""
        with self._lock:
            self._said += 1
            if self._said > limits.TASK_LOG_LINES.value:
                return
            self._lines.append(self._line(text[:_TEXT_CHARACTERS_MAX], level, figures))
        self._now_and_then()

    def close(self) -> None:
        """Tell what is untold."""
        more = self._said - limits.TASK_LOG_LINES.value
        if more > 0:
            self._lines.append(self._line(f"and {more:,} lines more", "info", {}))
        self._tell()

    def _line(self, text: str, level: str, figures: Mapping[str, Any]) -> LogLine:
        return LogLine(self._of.task, self._number, self._of.attempt, self._clock(), level, text, figures)

    def _now_and_then(self) -> None:
        if time.monotonic() - self._told_s >= _TELL_S:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            self._told_s = time.monotonic()
            lines, progress = self._lines, self._progress
            self._lines, self._progress = [], None
        if not lines and progress is None:
            return

        def tell(tx: Any) -> None:
            if progress is not None:
                self._records.put_progress(tx, self._of.workspace, self._of.run, progress)
            if lines:
                self._records.add_logs(tx, self._of.workspace, self._of.run, lines)

        self._database.write(tell, durable=False)
