"""SQLite: one writing thread that commits the work of many at once, and a reading connection for each thread.

A durable commit waits for the disk, some 0.1 to 4 ms. The writing thread takes all the work that has come in
meanwhile into one transaction, each piece in a savepoint of its own, so that what fails takes nothing else with it and
all share one wait; those who have just shared one are waited for a moment. Who comes while nobody writes does it by
itself: waking two threads, one after the other, takes as long as a small transaction does. Other processes write to
the same file, and SQLite's own waiting is unfair between them (one of two gets nearly all turns), so the turn is asked
for again every one to three milliseconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy
from sqlalchemy.exc import DBAPIError

from penstock.base.disks import ROOM_HINT, room
from penstock.core import limits
from penstock.core.errors import Bug, DatabaseUnavailable, SettingInvalid

T = TypeVar("T")

_BATCH_MAX: Final = 128  # pieces of work in one transaction: enough to share a wait, few enough to be quick
_GATHERING_S: Final = 0.002  # at most, for those who write together to come again; a step of it without any ends it
_GATHERING_STEP_S: Final = 0.0002
_CLOSING_S: Final = 1.0  # who closes does not wait longer for another process's turn to end
_PRAGMAS: Final = [
    f"busy_timeout = {limits.DATABASE_BUSY.value * 1000}",  # opening and reading wait for moments only
    "journal_mode = WAL",
    "journal_size_limit = 67108864",  # what a long read has made grow is given back afterwards
    "foreign_keys = ON",
    "temp_store = MEMORY",
]
# What passes by itself or with the disk's help. Everything else that SQLite calls operational is a mistake in the SQL.
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_OF_THE_DISK: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY})
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class _Work:
    """A piece of work, and what came of it; a bare lock to wait by, for a Future takes five times as long."""

    __slots__ = ("_arrived", "_future", "do", "durable", "error", "result")

    def __init__(self, do: Callable[[Any], Any], *, durable: bool, future: Future[Any] | None = None) -> None:
        self.do = do
        self.durable = durable
        self.result: Any = None
        self.error: BaseException | None = None
        self._future = future
        self._arrived = threading.Lock()
        self._arrived.acquire()

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Tell who waits."""
        self.result, self.error = result, error
        self._arrived.release()
        if self._future is None:
            return
        if error is None:
            self._future.set_result(result)
        else:
            self._future.set_exception(error)

    def wait(self) -> Any:
        """Return the result, or raise the error, once it is there."""
        self._arrived.acquire()
        if self.error is None:
            return self.result
        try:
            raise self.error
        finally:
            self.error = None  # an error holds the frames that it went through, and one of them is this


class SqliteDatabase:
    """The records database in one file."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        _create(path)
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
        self._asking = threading.Lock()
        self._asked = 0  # pieces of work that nobody has taken up yet
        self._closing = threading.Event()
        self._turn = threading.Lock()  # who has it writes, with what follows
        self._turn_of = 0
        self._crowd = 1  # pieces in the last transaction
        self._connection: sqlalchemy.Connection | None = None
        self._synchronous = ""  # what that connection is set to

    @contextlib.contextmanager
    def rebuild(self) -> Iterator[sqlalchemy.Connection]:
        """Open a transaction in which tables may be copied and replaced; it is committed when nothing was raised.

        SQLite changes a column by copying its table, and would miss the old one while others refer to it. So what
        refers to what is checked once, at the end.
        """
        with _reporting(self.path), self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")  # does nothing inside a transaction
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
                if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise Bug(f"a row of {broken[0]} refers to one of {broken[2]} that is gone", hint="Report it.")
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                with contextlib.suppress(DBAPIError):
                    connection.exec_driver_sql("ROLLBACK")
                raise
            finally:
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlalchemy.Connection]:
        """Open a snapshot to read from."""
        with _reporting(self.path), self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            _control(driver, "BEGIN")
            try:
                yield connection
            finally:
                if driver.in_transaction:  # SQLite ends it by itself when the disk fails, say
                    _control(driver, "ROLLBACK")

    def write(self, work: Callable[[Any], T], /, *, durable: bool = True) -> T:
        """Run `work` in the next transaction, and return once that is committed.

        Raises:
            Bug: when `work` itself writes; it would wait for itself.
            DatabaseUnavailable: when the file cannot be written to now, or the database is closed.
        """
        piece = _Work(work, durable=durable)
        if self._asked or self._crowd > 1 or self._turn.locked():
            self._ask(piece)
        else:
            with self._turn:
                self._check_open()
                self._carry_out([piece])
        result: T = piece.wait()
        return result

    def ask(self, work: Callable[[Any], T], /) -> Future[T]:
        """Ask for `work` to be run as `write` does, and return at once what will have its result.

        Raises:
            Bug: when `work` itself asks; it would wait for itself.
            DatabaseUnavailable: when the database is closed.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # nobody can take it back
        self._ask(_Work(work, durable=True, future=future))
        return future

    def close(self) -> None:
        """Finish what was asked for, and close every connection."""
        with self._asking:  # nothing is asked for afterwards
            self._closing.set()
            self._works.put(None)
        if self._writer is not None:
            self._writer.join()
        with self._turn:
            if self._connection is not None:
                self._connection.close()
        self.engine.dispose()

    def _ask(self, piece: _Work) -> None:
        if threading.get_ident() == self._turn_of:
            raise Bug("work in a transaction asked for another transaction", hint="Report it; pass the one it has on.")
        with self._asking:
            self._check_open()
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="database-writer", daemon=True)
                self._writer.start()
            self._asked += 1
            self._works.put(piece)

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise DatabaseUnavailable("the records database is closed", hint="Start the server again.")

    def _write(self) -> None:
        while (piece := self._works.get()) is not None:
            self._gather()
            with self._turn:
                self._carry_out([piece, *self._others()])

    def _gather(self) -> None:
        """Wait for those who were in the last transaction: told at once, they come again one after the other.

        The first of them would have a wait for the disk of its own, and all the others another.
        """
        until_s = time.monotonic() + _GATHERING_S
        came = 0
        while came < self._crowd - 1 and time.monotonic() < until_s:
            time.sleep(_GATHERING_STEP_S)
            before, came = came, self._works.qsize()
            if came == before:
                return

    def _others(self) -> Iterator[_Work]:
        """Yield what has come meanwhile, too, and count all as taken up."""
        taken = 1
        while taken < _BATCH_MAX and not self._works.empty():
            piece = self._works.get()
            if piece is None:
                self._works.put(None)
                break
            taken += 1
            yield piece
        with self._asking:
            self._asked -= taken

    def _carry_out(self, batch: list[_Work]) -> None:
        """Write what was asked for, and tell whoever waits; the turn is had."""
        self._turn_of = threading.get_ident()
        self._crowd = len(batch)
        try:
            with _reporting(self.path):
                self._connection = self._connection or self._connect()
                settle = self._run(self._connection, batch)
        except BaseException as error:  # noqa: BLE001  # the whole batch failed: each waiting thread raises it
            for piece in batch:
                piece.settle(None, error)
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.invalidate()
                connection.close()
        else:
            settle()
        finally:
            self._turn_of = 0

    def _connect(self) -> sqlalchemy.Connection:
        connection = self.engine.connect()
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")  # it asks for its turn by itself
        self._synchronous = ""
        return connection

    def _run(self, connection: sqlalchemy.Connection, batch: list[_Work]) -> Callable[[], None]:
        """Commit a batch in one transaction, and return what tells the waiting threads."""
        self._synchronize(connection, "FULL" if any(piece.durable for piece in batch) else "NORMAL")
        self._begin(connection)
        alone = len(batch) == 1
        driver: Any = connection.connection.driver_connection
        outcomes: list[tuple[_Work, Any, BaseException | None]] = []
        try:
            for piece in batch:
                if not alone:
                    _control(driver, "SAVEPOINT piece")
                try:
                    outcomes.append((piece, piece.do(connection), None))
                except Exception as error:  # the thread that asked for it raises it
                    if not driver.in_transaction:  # SQLite has taken everything back: the disk is full, say
                        raise
                    _control(driver, "ROLLBACK" if alone else "ROLLBACK TO piece")
                    outcomes.append((piece, None, error))
                if not alone:
                    _control(driver, "RELEASE piece")
            if driver.in_transaction:
                _control(driver, "COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):
                _control(driver, "ROLLBACK")
            raise
        return lambda: _settle(outcomes, self.path)

    def _synchronize(self, connection: sqlalchemy.Connection, synchronous: str) -> None:
        if self._synchronous != synchronous:
            _control(connection.connection.driver_connection, f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous

    def _begin(self, connection: sqlalchemy.Connection) -> None:
        started_s = time.monotonic()
        while True:
            try:
                _control(connection.connection.driver_connection, "BEGIN IMMEDIATE")
            except DBAPIError as error:
                patience_s = _CLOSING_S if self._closing.is_set() else limits.DATABASE_BUSY.value
                if not _is_busy(error) or time.monotonic() - started_s > patience_s:
                    raise
                time.sleep(random.uniform(0.001, 0.003))
            else:
                return


def _control(driver: Any, sql: str) -> None:
    """Run a statement without parameters and rows. SQLAlchemy would take 15 us for it, and five go with each piece."""
    try:
        driver.execute(sql)
    except sqlite3.Error as error:
        raise DBAPIError(sql, None, error) from error


def _create(path: Path) -> None:
    """Create an empty file that only its owner may read; the files that SQLite puts beside it are like it.

    A file that is there is left closed: to close it would give up every lock that this process holds on it, and
    another process that leaves would take itself for the last and remove the log. Source: sqlite.org/howtocorrupt.html
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
            if not os.access(path, os.R_OK | os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
    except OSError as error:
        raise SettingInvalid(
            f"the records database {path} cannot be opened: {error.strerror}",
            hint="Let PENSTOCK_HOME or PENSTOCK_DATABASE_URL name a place that you may write to.",
        ) from error


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _settle(outcomes: list[tuple[_Work, Any, BaseException | None]], path: Path) -> None:
    for piece, result, error in outcomes:
        if isinstance(error, DBAPIError) and _passes(error):
            error = unavailable(error, path)
        piece.settle(result, error)


@contextlib.contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.TimeoutError as error:
        raise DatabaseUnavailable(
            "too many threads read the records database at once", hint="Try again.", retry_after_s=1
        ) from error
    except DBAPIError as error:
        if _passes(error):
            raise unavailable(error, path) from error
        raise


def _passes(error: DBAPIError) -> bool:
    return _code(error) in _PASSING | _BROKEN


def _is_busy(error: DBAPIError) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: DBAPIError) -> int:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # without what says more about the same


def unavailable(error: DBAPIError, path: Path) -> DatabaseUnavailable:
    """Return the error of a database that cannot be used now; its words hold no values."""
    what, hint = f"{error.orig}", "Look at what else uses the file; nothing was lost, and it may be tried again."
    if _code(error) in _OF_THE_DISK:
        what, hint = f"{error.orig} in {path.parent}{room(path.parent)}", ROOM_HINT
    if is_broken(error):
        hint = "Stop the server, and put a backup of the file in its place; keep the broken one to look into."
    return DatabaseUnavailable(f"the records database cannot be used now: {what}", hint=hint, retry_after_s=1)


def is_broken(error: BaseException | None) -> bool:
    """Return whether an error says that the file is no database, or one that is damaged."""
    return isinstance(error, DBAPIError) and _code(error) in _BROKEN
