"""Ingests from SQLite files: values arrive with the types that all of them have; a damaged file harms itself only."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.core.errors import PenstockError, TaskFailed
from penstock.sandbox.strict import StrictSandbox
from tests.databases import Shop
from tests.pipelines import ingest_context


@pytest.fixture(scope="module")
def strict() -> Iterator[StrictSandbox]:
    with contextlib.closing(StrictSandbox()) as sandbox:
        yield sandbox


def sqlite_file(path: Path, *statements: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@contextlib.contextmanager
def file_shop(folder: Path, strict: StrictSandbox, wanted: str, *, path: str = "data/shop.db") -> Iterator[Shop]:
    files = {
        "penstock.yml": f"name: shop\nconnections:\n  db: {{ kind: sqlite, path: {path} }}\n",
        "pipelines/main.yml": f"tasks:\n  load:\n    kind: ingest\n    from: {{ connection: db, {wanted} }}\n"
        "    to: raw.orders\n",
    }
    with ingest_context(folder, strict=strict, files=files, parallel=1) as bench:
        yield Shop(bench)


def test_sqlite_values_arrive_with_the_types_that_all_of_them_have(tmp_path, strict):
    sqlite_file(
        tmp_path / "data/shop.db",
        "CREATE TABLE kinds (id INTEGER PRIMARY KEY, price DECIMAL(10, 2), odd DECIMAL(10, 2), yes BOOLEAN, day DATE,"
        " at DATETIME, unsure DATETIME, bytes BLOB, name TEXT, ratio REAL, big INTEGER)",
        "INSERT INTO kinds VALUES (1, '19.90', 1.5, 1, '2024-02-29', '2024-03-31 02:30:00', 1700000000, x'00ff',"
        " 'a\"b', 0.1, 9223372036854775807)",
        "INSERT INTO kinds VALUES (2, 3, 'free', 0, NULL, '2024-03-31T02:30:00.5', 'yesterday', NULL, '', 2, NULL)",
    )
    with file_shop(tmp_path, strict, "table: kinds") as at:
        at.ingest()
        first, second = sorted(at.rows(), key=lambda row: row["id"])
        assert at.types()["unsure"] == "string"
    assert first == {
        "id": 1,
        "price": Decimal("19.90"),
        "odd": "1.5",
        "yes": True,
        "day": dt.date(2024, 2, 29),
        "at": dt.datetime.fromisoformat("2024-03-31T02:30:00"),
        "unsure": "1700000000",
        "bytes": b"\x00\xff",
        "name": 'a"b',
        "ratio": 0.1,
        "big": 2**63 - 1,
    }
    assert (second["price"], second["odd"], second["yes"], second["unsure"]) == (Decimal(3), "free", False, "yesterday")


def test_sqlite_is_read_by_a_cursor(tmp_path, strict):
    path = tmp_path / "data/shop.db"
    sqlite_file(path, "CREATE TABLE o (id INTEGER, at TEXT)", "INSERT INTO o VALUES (1, '2024-01-01')")
    with file_shop(tmp_path, strict, "table: o, cursor: at") as at:
        assert [at.ingest()["rows"], at.ingest()["rows"]] == [1, 0]
        sqlite_file(path, "INSERT INTO o VALUES (2, '2024-01-02')")
        assert at.ingest()["rows"] == 1
        assert sorted(row["id"] for row in at.rows()) == [1, 2]


@pytest.mark.parametrize(
    ("path", "words"),
    [("../other.db", "leads out of"), ("data/none.db", "there is no file"), ("data/text.db", "no SQLite database")],
)
def test_a_file_that_is_no_database_of_the_project_is_refused(tmp_path, strict, path, words):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/text.db").write_text("not a database")
    with file_shop(tmp_path, strict, "table: o", path=path) as at, pytest.raises(PenstockError, match=words):
        at.ingest()


def test_a_damaged_file_harms_only_its_own_task(tmp_path, strict):
    path = tmp_path / "data/shop.db"
    sqlite_file(path, "CREATE TABLE o (id INTEGER, t TEXT)", *(f"INSERT INTO o VALUES ({n}, 'x')" for n in range(500)))
    data = bytearray(path.read_bytes())
    data[4096:6000] = b"\xff" * 1904
    path.write_bytes(data)
    with file_shop(tmp_path, strict, "table: o") as at, pytest.raises(TaskFailed, match="SQLite"):
        at.ingest()


def test_changes_that_are_in_a_file_beside_it_are_not_left_out(tmp_path, strict):
    path = tmp_path / "data/shop.db"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE o (id INTEGER)")
        connection.commit()
        with file_shop(tmp_path, strict, "table: o") as at, pytest.raises(TaskFailed, match="its last changes are in"):
            at.ingest()
