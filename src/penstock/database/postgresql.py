"""PostgreSQL: a transaction for each piece of work, on pooled connections; the server groups commits by itself."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import psycopg
import psycopg.adapt
import sqlalchemy
from sqlalchemy.exc import DBAPIError

from penstock.core import limits
from penstock.core.errors import DatabaseUnavailable

T = TypeVar("T")

_TRIES_MAX: Final = 10
_CONFLICTS: Final = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
_PASSING: Final = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction)  # a standby takes no writes
# A server that has gone away without a word is noticed, and no statement holds its locks for ever.
_OPTIONS: Final = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": " ".join(
        f"-c {name}={seconds}s"
        for name, seconds in (
            ("statement_timeout", limits.DATABASE_STATEMENT.value),
            ("lock_timeout", limits.DATABASE_BUSY.value),
            ("idle_in_transaction_session_timeout", limits.DATABASE_STATEMENT.value),
        )
    ),
    "prepare_threshold": 2,
}


class PostgresDatabase:
    """The records database on a server.

    Args:
        url: `postgresql+psycopg://user:password@host/name`.
        pool_size: connections at most; as many threads write at once.
    """

    dialect = "postgresql"

    def __init__(self, url: str, *, pool_size: int = 16) -> None:
        self.url = url
        self.engine = sqlalchemy.create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=False,  # a round trip for each use; a broken connection is found by its error instead
            connect_args=_OPTIONS,
        )
        sqlalchemy.event.listen(self.engine, "connect", _prepare)
        self._writers = ThreadPoolExecutor(pool_size, thread_name_prefix="database-writer")

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlalchemy.Connection]:
        """Open a snapshot to read from."""
        with _reporting(), contextlib.closing(self._snapshot()) as connection:
            try:
                yield connection
            finally:
                connection.rollback()

    def write(self, work: Callable[[Any], T], /, *, durable: bool = True) -> T:
        """Run `work` in a transaction of its own, again when it lost against another; return once it is committed."""
        reconnected = False
        for tried in range(1, _TRIES_MAX + 1):
            committing = False
            try:
                with _reporting(), self.engine.begin() as connection:
                    if not durable:
                        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                    result = work(connection)
                    committing = True
                return result
            except DBAPIError as error:
                if not isinstance(error.orig, _CONFLICTS) or tried == _TRIES_MAX:
                    raise
                time.sleep(random.uniform(0, 0.002 * 2**tried))
            except _Disconnected:
                # A pooled connection of before a restart. What had not begun to commit is not there and never will be.
                if reconnected or committing:
                    raise
                reconnected = True
        raise AssertionError("the last try returns or raises")

    def ask(self, work: Callable[[Any], T], /) -> Future[T]:
        """Ask for `work` to be run as `write` does, and return at once what will have its result."""
        return self._writers.submit(self.write, work)

    def close(self) -> None:
        """Finish what was asked for, and close every connection."""
        self._writers.shutdown()
        self.engine.dispose()

    def _snapshot(self) -> sqlalchemy.Connection:
        for last in (False, True):
            connection = self.engine.connect()
            try:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            except DBAPIError as error:
                connection.close()
                if last or not error.connection_invalidated:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise AssertionError("the last try returns or raises")


class _ListDumper(psycopg.adapt.Dumper):
    """Writes a list of texts or numbers as an array, of the type that the statement says.

    The driver's own looks for a type in the items, in Python: of a submit's 25 arrays of one it took half the time.
    """

    def dump(self, obj: list[str | float | None]) -> bytes:
        """Return the array as PostgreSQL reads it."""
        return f"{{{','.join(map(_item, obj))}}}".encode()


def _item(value: str | float | None) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"a list of {type(value).__name__} cannot be sent; only texts and numbers")


def _prepare(connection: psycopg.Connection, _record: object) -> None:
    connection.adapters.register_dumper(list, _ListDumper)


class _Disconnected(DatabaseUnavailable):
    """The connection was lost, whether or not the server is there."""


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.TimeoutError as error:
        raise _unavailable("every connection is in use") from error
    except DBAPIError as error:
        if isinstance(error.orig, _CONFLICTS):
            raise
        if error.connection_invalidated:
            raise _unavailable(_reason(error), kind=_Disconnected) from error
        if isinstance(error.orig, _PASSING):
            raise _unavailable(_reason(error)) from error
        raise


def _reason(error: DBAPIError) -> str:
    """Return the name of what the server answered; or the end of what the library says of a server it did not reach."""
    if getattr(error.orig, "sqlstate", None):
        return type(error.orig).__name__
    first, *_ = str(error.orig).splitlines() or [type(error.orig).__name__]
    return first.rpartition(": ")[2].strip()


def _unavailable(what: str, *, kind: type[DatabaseUnavailable] = DatabaseUnavailable) -> DatabaseUnavailable:
    return kind(
        f"the records database cannot be used now: {what}",
        hint="Look at the PostgreSQL server; nothing was lost, and the request may be repeated.",
        retry_after_s=1,
    )
