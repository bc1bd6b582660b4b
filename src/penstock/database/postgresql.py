"""PostgreSQL: a transaction for each piece of work, on pooled connections; the server groups commits by itself."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy
from sqlalchemy.exc import DBAPIError, OperationalError

from penstock.core.errors import DatabaseUnavailable

T = TypeVar("T")

_TRIES_MAX: Final = 10
_CONFLICTS: Final = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


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
            connect_args={"connect_timeout": 5, "prepare_threshold": 2},
        )

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlalchemy.Connection]:
        """Open a snapshot to read from."""
        with _reporting(), self.engine.connect() as connection:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            try:
                yield connection
            finally:
                connection.rollback()

    def write(self, work: Callable[[Any], T], /, *, durable: bool = True) -> T:
        """Run `work` in a transaction of its own, again when it lost against another; return once it is committed."""
        for tried in range(1, _TRIES_MAX + 1):
            try:
                with _reporting(), self.engine.begin() as connection:
                    if not durable:
                        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                    return work(connection)
            except DBAPIError as error:
                if not isinstance(error.orig, _CONFLICTS) or tried == _TRIES_MAX:
                    raise
                time.sleep(random.uniform(0, 0.002 * 2**tried))
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.TimeoutError as error:
        raise _unavailable("every connection is in use") from error
    except OperationalError as error:
        if isinstance(error.orig, _CONFLICTS):
            raise
        raise _unavailable(type(error.orig).__name__) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _unavailable(type(error.orig).__name__) from error
        raise


def _unavailable(what: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"the records database cannot be used now: {what}",
        hint="Look at the PostgreSQL server; nothing was lost, and the request may be repeated.",
        retry_after_s=1,
    )
