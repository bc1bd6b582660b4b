"""What a database on a server promises besides: it may go or be restarted, and nothing is lost or done twice."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from penstock.core.errors import DatabaseUnavailable
from penstock.database.opening import open_database
from penstock.database.schema import metadata
from penstock.database.statements import Statement
from tests.conformance.test_database import insert, keys
from tests.servers import start_postgres


def test_a_transaction_that_loses_against_another_is_run_again(fresh_database):
    database = fresh_database("postgresql")
    for key in "ab":
        database.write(lambda tx, key=key: insert(tx, key))
    both = threading.Barrier(2)
    update = "UPDATE small_blobs SET data = data || '\\x32' WHERE key = %(key)s"

    def cross(first, second):
        tries = 0

        def do(tx):
            nonlocal tries
            tries += 1
            tx.exec_driver_sql(update, {"key": first})
            if tries == 1:
                both.wait(10)
            tx.exec_driver_sql(update, {"key": second})

        database.write(do)
        return tries

    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(cross, *order) for order in ("ab", "ba")]
        least, most = sorted(each.result(timeout=30) for each in tries)
    assert (least, most > 1) == (1, True)
    with database.read() as tx:
        assert set(tx.exec_driver_sql("SELECT data FROM small_blobs").scalars()) == {b"122"}


def test_a_server_that_is_stopped_and_started_again_is_used_again_by_the_same_process():
    with start_postgres() as server, contextlib.closing(open_database(server.fresh_url())) as database:
        database.write(metadata.create_all)
        with ThreadPoolExecutor(4) as pool:  # several connections in the pool, all of which go stale
            list(pool.map(lambda number: database.write(lambda tx: insert(tx, f"before-{number}")), range(8)))
        server.stop()
        for act in (lambda: database.write(lambda tx: insert(tx, "meanwhile")), lambda: keys(database)):
            started_s = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                act()
            assert time.monotonic() - started_s < 30
        server.start()
        assert len(keys(database)) == 8
        database.write(lambda tx: insert(tx, "after"))
        assert "after" in keys(database)


def test_a_restart_between_two_requests_is_not_even_noticed(fresh_database):
    database = fresh_database("postgresql")
    for act in (lambda: database.write(lambda tx: insert(tx, "after")), lambda: keys(database)):
        cut(database)
        act()
    assert keys(database) == {"after"}


def test_work_that_is_cut_off_before_its_commit_is_done_once(fresh_database):
    database = fresh_database("postgresql")
    tries: list[str] = []

    def do(tx):
        tries.append(insert(tx, f"try-{len(tries)}"))
        if len(tries) == 1:
            cut(database)
        insert(tx, "end")

    database.write(do)
    assert keys(database) == {"try-1", "end"}


def test_a_server_that_cannot_be_reached_is_said_without_its_password():
    with contextlib.closing(open_database("postgresql+psycopg://someone:pass-word@127.0.0.1:1/x")) as database:
        for act in (lambda: database.write(lambda tx: insert(tx, "a")), lambda: keys(database)):
            with pytest.raises(DatabaseUnavailable, match="Connection refused") as caught:
                act()
            assert "pass-word" not in f"{caught.value.message} {caught.value.hint}"


def test_a_statement_that_hangs_is_ended(fresh_database):
    database = fresh_database("postgresql")

    def hang(tx):
        tx.exec_driver_sql("SET LOCAL statement_timeout = '200ms'")
        tx.exec_driver_sql("SELECT pg_sleep(30)")

    with pytest.raises(DatabaseUnavailable, match="QueryCanceled"):
        database.write(hang)
    with database.read() as tx:
        assert tx.exec_driver_sql("SHOW statement_timeout").scalar() == "1min"
        assert tx.exec_driver_sql("SHOW lock_timeout").scalar() == "10s"


def cut(database):
    """End every other connection of a database, as a restart of the server does."""
    engine = sqlalchemy.create_engine(database.url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_lists_reach_a_server_as_they_are(fresh_database):
    database = fresh_database("postgresql")
    given = {
        "texts": ["plain", "", "NULL", None, 'a "quoted" one', "back\\slash", "{a, b}", " spaced ", "ü\n\t'%s'"],
        "numbers": [1, -2, None, 2**62],
        "times": [0.1, 1e300, -0.0, 1700000000.123456, None],
        "none": [],
    }
    ask = Statement("SELECT :texts::text[], :numbers::bigint[], :times::float8[], :none::text[]")
    with database.read() as tx:
        assert ask.fetch(tx, given) == [tuple(given.values())]
        with pytest.raises(sqlalchemy.exc.StatementError, match="a list of bytes cannot be sent"):
            Statement("SELECT :data::bytea[]").fetch(tx, {"data": [b"1"]})
