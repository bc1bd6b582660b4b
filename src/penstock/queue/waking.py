"""Waiting until something may have become ready, on a connection of its own."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from penstock.base.lazily import Lazily
from penstock.core import limits
from penstock.database.bells import Bell, Bells
from penstock.queue.announcing import CHANNEL

if TYPE_CHECKING:
    import psycopg
else:
    psycopg = Lazily("psycopg")

BELL: Final = "queue"
_TAKEABLE: Final = """
    SELECT EXISTS (SELECT 1 FROM queue_changes WHERE ready > 0 OR running < 0) OR EXISTS (
        SELECT 1 FROM queue_workspaces w JOIN queue_lanes l ON l.workspace = w.workspace
        WHERE w.ready > 0 AND w.running < w.running_max
            AND l.ready > 0 AND l.running < l.running_max AND l.paused_at IS NULL)"""


class Waker(Protocol):
    """What a worker waits with."""

    def wait(self, timeout_s: float) -> None:
        """Return when something may be leased, or the time is up."""

    def close(self) -> None:
        """Close its connection."""


class SqliteWaker:
    """Asks the file for its version every few milliseconds: that costs a microsecond, and no lock.

    Args:
        path: of the database.
        bells: of the processes of this machine; one that rings is answered at once.
    """

    def __init__(self, path: Path, bells: Bells | None = None) -> None:
        self._path = path
        self._bells = bells
        self._bell: Bell | None = None
        self._connection: sqlite3.Connection | None = None

    def wait(self, timeout_s: float) -> None:
        """Return when something may be leased, or the time is up."""
        deadline_s = time.monotonic() + timeout_s
        version = None
        while True:
            try:
                found = self._ask("PRAGMA data_version")
                if found != version and self._ask(_TAKEABLE):
                    return
                version = found
            except sqlite3.OperationalError:  # whoever leases next meets the same, and says so
                self.close()
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return
            self._pause(min(left_s, limits.READY_POLL.value / 1000))

    def close(self) -> None:
        """Close its connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _pause(self, most_s: float) -> None:
        if self._bells is None:
            time.sleep(most_s)
            return
        self._bell = self._bell or self._bells.hang(BELL)
        self._bell.wait(most_s)

    def _ask(self, sql: str) -> Any:
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"file:{self._path}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
            )
        return self._connection.execute(sql).fetchone()[0]


class PostgresWaker:
    """Listens; and asks now and then, since a notice is sent only when a lane had nothing ready before.

    Two who add to a lane at once may each see the other's entry, or the one that is just being leased, and send none.
    So the first questions come quickly and later ones rarely.
    """

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://")
        self._connection: psycopg.Connection | None = None

    def wait(self, timeout_s: float) -> None:
        """Return when something may be leased, or the time is up."""
        deadline_s = time.monotonic() + timeout_s
        step_s = limits.READY_POLL.value / 1000
        while True:
            try:
                if self._ask():
                    return
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return
                self._listen(min(left_s, step_s))
            except psycopg.OperationalError:  # whoever leases next meets the same, and says so
                self.close()
                left_s = deadline_s - time.monotonic()
                time.sleep(max(0.0, min(left_s, limits.READY_POLL_FAR.value / 1000)))
            step_s = min(step_s * 2, limits.READY_POLL_FAR.value / 1000)

    def close(self) -> None:
        """Close its connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self) -> bool:
        if self._connection is None:
            self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            self._connection.execute(f"LISTEN {CHANNEL}")
        row = self._connection.execute(_TAKEABLE).fetchone()
        return bool(row and row[0])

    def _listen(self, timeout_s: float) -> None:
        assert self._connection is not None
        for _ in self._connection.notifies(timeout=timeout_s, stop_after=1):
            pass
