"""SQLite: one writing thread that commits the work of many at once, and a reading connection for each thread.

A durable commit waits for the disk, some 0.1 to 4 ms. The writing thread takes all the work that has come in
meanwhile into one transaction, each piece in a savepoint of its own, so that what fails takes nothing else with it and
all share one wait. Other processes write to the same file, and SQLite's own waiting is unfair between them (one of two
gets nearly all turns), so the turn is asked for again every one to three milliseconds.
"""

from __future__ import annotations

import contextlib
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy
from sqlalchemy.exc import DBAPIError

from penstock.core import limits
from penstock.core.errors import DatabaseUnavailable

T = TypeVar("T")

_BATCH_MAX: Final = 128  # pieces of work in one transaction: enough to share a wait, few enough to be quick
_PRAGMAS: Final = ["busy_timeout = 0", "journal_mode = WAL", "foreign_keys = ON", "temp_store = MEMORY"]


@dataclass(slots=True)
class _Work:
    do: Callable[[Any], Any]
    durable: bool
    done: Future[Any] = field(default_factory=Future)


class SqliteDatabase:
    """The records database in one file."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Transactions are begun by hand below, so that a writer takes its lock before it reads.
        self.engine = sqlalchemy.create_engine(
            f"sqlite:///{path}",
            isolation_level="AUTOCOMMIT",
            poolclass=sqlalchemy.pool.QueuePool,
            pool_size=64,
            connect_args={"check_same_thread": False},
        )
        sqlalchemy.event.listen(self.engine, "connect", _prepare)
        self._works: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlalchemy.Connection]:
        """Open a snapshot to read from."""
        with _reporting(), self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def write(self, work: Callable[[Any], T], /, *, durable: bool = True) -> T:
        """Run `work` in the next transaction of the writing thread, and return once that is committed."""
        self._start()
        piece = _Work(work, durable)
        self._works.put(piece)
        result: T = piece.done.result()
        return result

    def close(self) -> None:
        """Finish what was asked for, and close every connection."""
        with self._starting:
            if self._writer is not None:
                self._works.put(None)
                self._writer.join()
                self._writer = None
        self.engine.dispose()

    def _start(self) -> None:
        if self._writer is None:
            with self._starting:
                if self._writer is None:
                    self._writer = threading.Thread(target=self._write, name="database-writer", daemon=True)
                    self._writer.start()

    def _write(self) -> None:
        connection: sqlalchemy.Connection | None = None
        ending = False
        while not ending:
            batch, ending = self._next_batch()
            if not batch:
                continue
            try:
                with _reporting():
                    connection = connection or self.engine.connect()
                    settle = _run(connection, batch)
            except BaseException as error:  # noqa: BLE001  # the whole batch failed: each waiting thread raises it
                for piece in batch:
                    piece.done.set_exception(error)
                if connection is not None:
                    connection.invalidate()
                    connection.close()
                    connection = None
                continue
            settle()
        if connection is not None:
            connection.close()

    def _next_batch(self) -> tuple[list[_Work], bool]:
        batch: list[_Work] = []
        piece = self._works.get()
        while piece is not None:
            batch.append(piece)
            if len(batch) >= _BATCH_MAX:
                return batch, False
            try:
                piece = self._works.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _run(connection: sqlalchemy.Connection, batch: list[_Work]) -> Callable[[], None]:
    """Commit a batch in one transaction, and return what tells the waiting threads."""
    durable = any(piece.durable for piece in batch)
    connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    _begin(connection)
    outcomes: list[tuple[_Work, Any, BaseException | None]] = []
    try:
        for piece in batch:
            connection.exec_driver_sql("SAVEPOINT piece")
            try:
                outcomes.append((piece, piece.do(connection), None))
            except Exception as error:  # noqa: BLE001  # the thread that asked for it raises it
                connection.exec_driver_sql("ROLLBACK TO piece")
                outcomes.append((piece, None, error))
            connection.exec_driver_sql("RELEASE piece")
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with contextlib.suppress(Exception):
            connection.exec_driver_sql("ROLLBACK")
        raise
    return lambda: _settle(outcomes)


def _begin(connection: sqlalchemy.Connection) -> None:
    deadline_s = time.monotonic() + limits.DATABASE_BUSY.value
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except DBAPIError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline_s:
                raise
            time.sleep(random.uniform(0.001, 0.003))
        else:
            return


def _settle(outcomes: list[tuple[_Work, Any, BaseException | None]]) -> None:
    for piece, result, error in outcomes:
        if error is None:
            piece.done.set_result(result)
        elif isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.OperationalError):
            piece.done.set_exception(unavailable(error))
        else:
            piece.done.set_exception(error)


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.OperationalError):
            raise unavailable(error) from error
        raise


def unavailable(error: DBAPIError) -> DatabaseUnavailable:
    """Return the error of a database that cannot be used now; its words hold no values."""
    return DatabaseUnavailable(
        f"the records database cannot be used now: {error.orig}",
        hint="Look at the disk's space and at what else uses the file; nothing was lost, and it may be tried again.",
        retry_after_s=1,
    )
