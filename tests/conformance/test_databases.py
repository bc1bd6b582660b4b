"""Ingests from real databases: every value arrives as it was, each row once, and errors hold no row's values."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penstock.access.egress import HttpEgress
from penstock.connectors import connectors
from penstock.core.access import Policy
from penstock.core.errors import DestinationUnavailable, EgressRefused, PenstockError, TaskFailed
from penstock.sandbox.raw import open_raw
from penstock.sandbox.strict import StrictSandbox
from tests.databases import (
    PASSWORD,
    USER,
    DatabaseServer,
    Shop,
    free_port,
    postgres_tls,
    start_mariadb,
    start_postgres_tcp,
)
from tests.pipelines import PipelineBench, pipeline_context

KINDS = ("postgresql", "mysql")
LOOPBACK = Policy(egress=("127.0.0.1", "localhost"))
DATABASE = {"postgresql": "postgres", "mysql": "shop"}
TABLE = {"postgresql": "public.{}", "mysql": "{}"}


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[DatabaseServer]:
    with start_postgres_tcp() as server:
        yield server


@pytest.fixture(scope="module")
def mysql_server() -> Iterator[DatabaseServer]:
    with start_mariadb() as server:
        yield server


@pytest.fixture(scope="module")
def strict() -> Iterator[StrictSandbox]:
    with contextlib.closing(StrictSandbox()) as sandbox:
        yield sandbox


@pytest.fixture
def server(request) -> DatabaseServer:
    found: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return found


both = pytest.mark.parametrize("server", KINDS, indirect=True)


@contextlib.contextmanager
def shop(
    folder: Path,
    strict: StrictSandbox,
    server: DatabaseServer,
    wanted: str,
    *,
    policy: Policy = LOOPBACK,
    **settings: Any,
) -> Iterator[Shop]:
    given = {
        "kind": server.kind,
        "host": "127.0.0.1",
        "port": server.port,
        "database": DATABASE[server.kind],
        "user": USER,
        "password": "${secret:DB}",
        "tls": "off",
        "tries": 1,
    } | settings
    connection = "".join(f"    {name}: {value}\n" for name, value in given.items())
    files: dict[str, bytes | str] = {
        "penstock.yml": f"name: shop\nconnections:\n  db:\n{connection}",
        "pipelines/main.yml": f"tasks:\n  load:\n    kind: ingest\n    from: {{ connection: db, {wanted} }}\n"
        "    to: raw.orders\n",
        "ca.pem": server.ca,
    }
    egress = HttpEgress()
    with pipeline_context(
        folder,
        files=files,
        connection_kinds=connectors(),
        strict=strict,
        resolve=lambda _workspace, url: egress.check(url, policy=policy),
        raw=lambda: open_raw(strict, parallel=2),
    ) as bench:
        bench.secrets["DB"] = PASSWORD
        yield Shop(bench)


def test_postgresql_values_arrive_as_they_were(tmp_path, strict, postgresql_server):
    postgresql_server.run(
        "CREATE TYPE mood AS ENUM ('sad', 'fine')",
        "CREATE DOMAIN euros AS numeric(10, 2)",
        "CREATE TABLE kinds (id int PRIMARY KEY, small int2, big int8, price numeric(30, 10), free numeric,"
        " euros euros, ratio float8, rough float4, yes bool, name text, code char(3), mood mood, day date,"
        " at timestamp, moment timestamptz, clock time, key uuid, bytes bytea, tags text[], doc json, docb jsonb,"
        " span interval, empty text, address inet, never date)",
        "INSERT INTO kinds VALUES (1, -32768, 9223372036854775807, 12345678901234567890.0123456789,"
        " 0.1000000000000000055511151231257827, 19.90, 0.1, 1.5, true, E'a\\tb\\n\"c\"\\\\ \u20ac \u0001\u0002', 'ab',"
        " 'fine', '2024-02-29', '2024-03-31 02:30:00.123456', '2024-03-31 02:30:00.5+02', '23:59:59.999999',"
        " '00000000-0000-0000-0000-00000000002a', '\\x00ff5c78', '{a,\"b,c\",NULL}', '{\"b\": 1,  \"a\": 1e400}',"
        " '{\"a\": 2}', '1 day 2 hours', '', '10.0.0.1')",
        "INSERT INTO kinds (id, ratio, at, day) VALUES (2, 'NaN', 'infinity', '0044-03-15 BC')",
    )
    with shop(tmp_path, strict, postgresql_server, "table: public.kinds") as at:
        assert at.ingest() | {"bytes": 0} == {"rows": 2, "rejected": 0, "bytes": 0}
        first, second = sorted(at.rows(), key=lambda row: row["id"])
        types = at.types()
    assert first == {
        "id": 1,
        "small": -32768,
        "big": 2**63 - 1,
        "price": Decimal("12345678901234567890.0123456789"),
        "free": "0.1000000000000000055511151231257827",
        "euros": Decimal("19.90"),
        "ratio": 0.1,
        "rough": 1.5,
        "yes": True,
        "name": 'a\tb\n"c"\\ \u20ac \u0001\u0002',
        "code": "ab ",
        "mood": "fine",
        "day": dt.date(2024, 2, 29),
        "at": dt.datetime.fromisoformat("2024-03-31T02:30:00.123456"),
        "moment": dt.datetime.fromisoformat("2024-03-31T00:30:00.5"),
        "clock": dt.time(23, 59, 59, 999999),
        "key": uuid.UUID(int=42),
        "bytes": b"\x00\xff\x5c\x78",
        "tags": '["a","b,c",null]',
        "doc": '{"b": 1,  "a": 1e400}',
        "docb": '{"a": 2}',
        "span": "P1DT2H",
        "empty": "",
        "address": "10.0.0.1",
        "never": None,
    }
    assert str(second["ratio"]) == "nan"
    assert {name for name, value in second.items() if value is not None} == {"id", "ratio"}
    assert types["price"] == "decimal(30, 10)"
    assert types["never"] == "date"
    assert (types["small"], types["big"], types["rough"], types["key"]) == ("int", "long", "float", "uuid")


def test_mysql_values_arrive_as_they_were(tmp_path, strict, mysql_server):
    mysql_server.run(
        "SET time_zone = '+02:00'",
        "CREATE TABLE shop.kinds (id int PRIMARY KEY, tiny tinyint, whole int unsigned, big bigint unsigned,"
        " price decimal(30, 10), huge decimal(65, 30), ratio double, rough float, flag bit(1), bits bit(16),"
        " name text, code char(3), mood enum('sad', 'fine'), day date, at datetime(6),"
        " moment timestamp(6) NULL, clock time, made year, bytes varbinary(10), doc json,"
        " empty varchar(10), latin varchar(10) CHARACTER SET latin1)",
        "INSERT INTO shop.kinds VALUES (1, -128, 4294967295, 18446744073709551615, 12345678901234567890.0123456789,"
        " 0.100000000000000000000000000001, 0.1, 1.5, 1, 258, 'a\\tb\\n\"c\"\\\\ \u20ac', 'ab', 'fine', '2024-02-29',"
        " '2024-03-31 02:30:00.123456', '2024-03-31 02:30:00.5', '-838:59:59', 2024, x'00ff5c78', '{\"a\": 2}', '',"
        " '\u00e9')",
    )
    with mysql_server.admin() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("INSERT INTO shop.kinds (id, day, at, moment) VALUES (2, '0000-00-00', '2024-00-10', 0)")
    with shop(tmp_path, strict, mysql_server, "table: kinds") as at:
        assert at.ingest() | {"bytes": 0} == {"rows": 2, "rejected": 0, "bytes": 0}
        first, second = sorted(at.rows(), key=lambda row: row["id"])
        types = at.types()
    assert first == {
        "id": 1,
        "tiny": -128,
        "whole": 2**32 - 1,
        "big": Decimal(2**64 - 1),
        "price": Decimal("12345678901234567890.0123456789"),
        "huge": "0.100000000000000000000000000001",
        "ratio": 0.1,
        "rough": 1.5,
        "flag": True,
        "bits": Decimal(258),
        "name": 'a\tb\n"c"\\ \u20ac',
        "code": "ab",
        "mood": "fine",
        "day": dt.date(2024, 2, 29),
        "at": dt.datetime.fromisoformat("2024-03-31T02:30:00.123456"),
        "moment": dt.datetime.fromisoformat("2024-03-31T00:30:00.5"),
        "clock": "-838:59:59",
        "made": 2024,
        "bytes": b"\x00\xff\x5c\x78",
        "doc": '{"a": 2}',
        "empty": "",
        "latin": "\u00e9",
    }
    assert {name for name, value in second.items() if value is not None} == {"id"}
    assert (types["price"], types["big"], types["whole"]) == ("decimal(30, 10)", "decimal(20, 0)", "long")


@both
def test_a_cursor_reads_what_is_later_and_nothing_twice(tmp_path, strict, server):
    table = TABLE[server.kind].format("grows")
    own = table if server.kind == "postgresql" else "shop.grows"
    server.run(
        f"CREATE TABLE {own} (id int, at timestamp(6) NULL)",
        f"INSERT INTO {own} VALUES (1, '2024-01-01 10:00:00.000001'), (2, '2024-01-01 11:00:00.123456'), (3, NULL)",
    )
    with shop(tmp_path, strict, server, f"table: {table}, cursor: at") as at:
        assert at.ingest()["rows"] == 2
        assert at.ingest()["rows"] == 0
        server.run(f"INSERT INTO {own} VALUES (4, '2024-01-01 11:00:00.123457')")
        assert at.ingest()["rows"] == 1
        assert sorted(row["id"] for row in at.rows()) == [1, 2, 4]


@both
def test_a_look_back_reads_the_last_hours_again(tmp_path, strict, server):
    table = TABLE[server.kind].format("late")
    own = table if server.kind == "postgresql" else "shop.late"
    server.run(
        f"CREATE TABLE {own} (id int, at timestamp(6) NULL)",
        f"INSERT INTO {own} VALUES (1, '2024-01-01 10:00:00'), (2, '2024-01-01 12:00:00')",
    )
    with shop(tmp_path, strict, server, f"table: {table}, cursor: at, lookback: 1h") as at:
        at.ingest()
        server.run(f"INSERT INTO {own} VALUES (3, '2024-01-01 11:30:00')")  # committed late
        at.ingest()
        assert sorted(row["id"] for row in at.rows()) == [1, 2, 2, 3]


@both
def test_a_number_is_a_cursor_past_fifteen_digits(tmp_path, strict, server):
    table = TABLE[server.kind].format("numbers")
    own = table if server.kind == "postgresql" else "shop.numbers"
    server.run(f"CREATE TABLE {own} (id bigint)", f"INSERT INTO {own} VALUES (9007199254740992), (9007199254740993)")
    with shop(tmp_path, strict, server, f"table: {table}, cursor: id") as at:
        at.ingest()
        server.run(f"INSERT INTO {own} VALUES (9007199254740994)")
        assert at.ingest()["rows"] == 1


@both
def test_parts_hold_every_row_once(tmp_path, strict, server):
    table = TABLE[server.kind].format("many")
    own = table if server.kind == "postgresql" else "shop.many"
    values = ", ".join(f"({number}, {number * 7 % 1000})" for number in range(2_000))
    server.run(f"CREATE TABLE {own} (id int, part int NULL)", f"INSERT INTO {own} VALUES {values}, (2000, NULL)")
    with shop(tmp_path, strict, server, f"table: {table}, split_by: part, parts: 5", at_once=2) as at:
        assert at.ingest()["rows"] == 2_001
        assert sorted(row["id"] for row in at.rows()) == list(range(2_001))
    assert any("rows are read" in line for line in at.bench.logs())


@both
def test_a_query_reads_what_it_says(tmp_path, strict, server):
    query = "query: \"SELECT 1 AS one, 'a;b' AS two -- a comment\""
    with shop(tmp_path, strict, server, query) as at:
        at.ingest()
        assert at.rows() == [{"one": 1, "two": "a;b"}]


@both
def test_an_empty_table_is_no_error(tmp_path, strict, server):
    table = TABLE[server.kind].format("nothing")
    server.run(f"CREATE TABLE {table if server.kind == 'postgresql' else 'shop.nothing'} (id int)")
    with shop(tmp_path, strict, server, f"table: {table}") as at:
        assert at.ingest()["rows"] == 0


@both
@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("table: no_such_table", "no_such_table"),
        ('query: "SELEC 1"', "(syntax|42601|1064)"),
        ('query: "SELECT 1 AS a, 2 AS A"', "(two columns|Duplicate column)"),
        ('query: "SELECT 1 AS a", cursor: b', "column 'b'"),
    ],
)
def test_what_the_server_refuses_is_said_in_its_words(tmp_path, strict, server, wanted, words):
    with shop(tmp_path, strict, server, wanted) as at, pytest.raises(TaskFailed, match=words):
        at.ingest()


def test_an_error_of_the_server_holds_no_value_of_a_row(tmp_path, strict, postgresql_server):
    postgresql_server.run("CREATE TABLE private (iban text)", "INSERT INTO private VALUES ('DE02120300000000202051')")
    query = 'query: "SELECT iban::int FROM private"'
    with shop(tmp_path, strict, postgresql_server, query) as at, pytest.raises(TaskFailed) as caught:
        at.ingest()
    assert "DE02120300000000202051" not in f"{caught.value} {caught.value.hint}"
    assert "invalid input syntax for type integer" in str(caught.value)


@both
def test_writing_is_refused(tmp_path, strict, server):
    table = TABLE[server.kind].format("kept")
    own = table if server.kind == "postgresql" else "shop.kept"
    server.run(f"CREATE TABLE {own} (id int)", f"INSERT INTO {own} VALUES (1)")
    with shop(tmp_path, strict, server, f'query: "DELETE FROM {table}"') as at, pytest.raises(TaskFailed):
        at.ingest()
    assert len(server.rows(f"SELECT * FROM {own}")) == 1


@both
def test_a_wrong_password_fails_at_once_and_is_not_told(tmp_path, strict, server):
    with shop(tmp_path, strict, server, "table: kinds") as at:
        at.bench.secrets["DB"] = "wrong-password"
        with pytest.raises(TaskFailed) as caught:
            at.ingest()
    assert "wrong-password" not in str(caught.value)
    assert USER in str(caught.value)


@both
def test_a_private_address_is_not_reached_unless_the_policy_lists_it(tmp_path, strict, server):
    with shop(tmp_path, strict, server, "table: kinds", policy=Policy()) as at, pytest.raises(EgressRefused) as caught:
        at.ingest()
    assert "tls: verify" in caught.value.hint


@both
def test_a_server_that_is_not_there_may_be_back_later(tmp_path, strict, server):
    with (
        shop(tmp_path, strict, server, "table: kinds", port=free_port()) as at,
        pytest.raises(DestinationUnavailable, match=r"127\.0\.0\.1"),
    ):
        at.ingest()


@both
def test_a_server_without_tls_is_not_spoken_to_in_plain_text(tmp_path, strict, server):
    given = shop(tmp_path, strict, server, "table: kinds", tls="verify", host="localhost")
    with given as at, pytest.raises(PenstockError) as caught:  # neither has a certificate that is trusted
        at.ingest()
    assert any(word in str(caught.value) for word in ("SSL", "TLS", "certificate"))


def test_mysql_is_reached_by_tls_with_a_certificate_of_the_project(tmp_path, strict, mysql_server):
    sql = "SELECT VARIABLE_VALUE AS cipher FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'SSL_CIPHER'"
    query = f'query: "{sql}"'
    with shop(tmp_path, strict, mysql_server, query, tls="verify", ca="ca.pem", host="localhost") as at:
        at.ingest()
        assert "AES" in at.rows()[0]["cipher"] or "CHACHA" in at.rows()[0]["cipher"]


def test_postgresql_is_reached_by_tls_with_a_certificate_of_the_project(tmp_path, strict, postgresql_server):
    with postgres_tls(postgresql_server) as behind:
        query = 'query: "SELECT 1 AS one"'
        with shop(tmp_path, strict, behind, query, tls="verify", ca="ca.pem", host="localhost") as at:
            assert at.ingest()["rows"] == 1
        (tmp_path / "other").mkdir()
        with (
            shop(tmp_path / "other", strict, behind, query, tls="verify", host="localhost") as at,
            pytest.raises(PenstockError, match="certificate verify failed"),
        ):
            at.ingest()


@both
def test_a_statement_that_takes_too_long_is_ended(tmp_path, strict, server):
    sleep = "pg_sleep(5)::text" if server.kind == "postgresql" else "SLEEP(5)"
    query = f'query: "SELECT {sleep} AS a FROM (SELECT 1) AS b"'
    with shop(tmp_path, strict, server, query, timeout=1) as at, pytest.raises(PenstockError) as caught:
        at.ingest()
    assert any(word in str(caught.value) for word in ("timeout", "max_statement_time", "1969", "interrupted"))


@contextlib.contextmanager
def outlet(folder: Path, strict: StrictSandbox, server: DatabaseServer, to: str) -> Iterator[PipelineBench]:
    """Give a project that exports `marts.daily` to a server."""
    files = {
        "penstock.yml": "name: shop\nconnections:\n  db: { kind: postgresql, host: 127.0.0.1, database: postgres,"
        f" user: writer, password: '${{secret:DB}}', tls: off, port: {server.port}, tries: 1 }}\n",
        "pipelines/main.yml": "tasks:\n  tell:\n    kind: export\n    from: marts.daily\n"
        f"    to: {{ connection: db, {to} }}\n",
    }
    egress = HttpEgress()
    with pipeline_context(
        folder,
        files=files,
        connection_kinds=connectors(),
        strict=strict,
        resolve=lambda _workspace, url: egress.check(url, policy=LOOPBACK),
    ) as bench:
        bench.secrets["DB"] = PASSWORD
        yield bench


@pytest.fixture(scope="module")
def writable(postgresql_server) -> DatabaseServer:
    server: DatabaseServer = postgresql_server
    server.run(
        f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'",
        "CREATE SCHEMA marts AUTHORIZATION writer",
        "CREATE ROLE guest",
    )
    return server


DAY = dt.date(2024, 2, 29)
ROWS: list[dict[str, Any]] = [
    {"id": 1, "day": DAY, "total": Decimal("19.90"), "name": 'a,"b"\n\\N', "bytes": b"\x00\\x", "tags": ["a", None]},
    {"id": 2, "day": None, "total": None, "name": "", "bytes": b"", "tags": []},
    {"id": 3, "day": None, "total": None, "name": None, "bytes": None, "tags": None},
]


def test_a_table_is_made_of_what_is_exported_and_replaced_the_next_time(tmp_path, strict, writable):
    with outlet(tmp_path, strict, writable, "table: marts.daily") as bench:
        bench.put("marts.daily", ROWS)
        bench.next_run()
        assert dict(bench.run("tell"))["sent"] == 3
        writable.run("GRANT SELECT ON marts.daily TO guest", "CREATE INDEX daily_name ON marts.daily (name)")
        found = writable.rows("SELECT id, day, total, name, bytes, tags FROM marts.daily ORDER BY id")
        assert [dict(zip(ROWS[0], row, strict=True)) for row in found] == ROWS
        bench.put("marts.daily", ROWS[:1])
        bench.next_run()
        bench.run("tell")
    assert writable.rows("SELECT id FROM marts.daily") == [(1,)]
    assert writable.rows("SELECT has_table_privilege('guest', 'marts.daily', 'SELECT')") == [(True,)]
    assert len(writable.rows("SELECT 1 FROM pg_indexes WHERE schemaname = 'marts' AND tablename = 'daily'")) == 1
    assert writable.rows(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE nspname = 'marts' AND relkind = 'r'"
    ) == [(1,)]


def test_rows_are_merged_by_their_key_however_often(tmp_path, strict, writable):
    with outlet(tmp_path, strict, writable, "table: marts.merged, mode: merge, key: [id]") as bench:
        bench.put("marts.daily", ROWS[:2])
        bench.next_run()
        bench.run("tell")
        bench.put("marts.daily", [ROWS[0], ROWS[1] | {"name": "new"}, ROWS[2]])
        for _ in range(2):
            bench.next_run()
            bench.run("tell")
    assert writable.rows("SELECT id, name FROM marts.merged ORDER BY id") == [
        (1, ROWS[0]["name"]),
        (2, "new"),
        (3, None),
    ]


def test_an_export_that_fails_leaves_what_was_there_and_tells_no_row(tmp_path, strict, writable):
    writable.run(
        "CREATE TABLE marts.strict (id int, name text CHECK (name <> 'IBAN DE0212'))",
        "ALTER TABLE marts.strict OWNER TO writer",
        "INSERT INTO marts.strict VALUES (9, 'old')",
    )
    with outlet(tmp_path, strict, writable, "table: marts.strict") as bench:
        bench.put("marts.daily", [{"id": 1, "name": "IBAN DE0212"}])
        bench.next_run()
        with pytest.raises(TaskFailed) as caught:
            bench.run("tell")
    assert "DE0212" not in f"{caught.value} {caught.value.hint}"
    assert writable.rows("SELECT id FROM marts.strict") == [(9,)]
