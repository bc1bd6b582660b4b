"""What both databases promise: work is done whole or not at all, and an outage is said and survived."""

import contextlib
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy
from sqlalchemy.exc import DBAPIError, IntegrityError

from penstock.core import limits
from penstock.core.errors import Bug, DatabaseUnavailable, SettingInvalid
from penstock.core.limits import Limit
from penstock.database.opening import open_database
from penstock.database.schema import metadata, small_blobs
from penstock.database.sqlite import SqliteDatabase
from penstock.database.statements import Statement
from tests.processes import wait_for

INSERT = Statement("INSERT INTO small_blobs (key, data) VALUES (:key, :data)")


def insert(tx, key):
    INSERT.run(tx, {"key": key, "data": b"1"})
    return key


def keys(database):
    with database.read() as tx:
        return set(tx.execute(sqlalchemy.select(small_blobs.c.key)).scalars())


# ---- work is done whole or not at all ----


def test_what_work_returns_is_returned_and_what_it_did_can_be_read(database):
    assert database.write(lambda tx: insert(tx, "a")) == "a"
    assert keys(database) == {"a"}


def test_work_that_fails_leaves_nothing_and_raises_its_own_error(database):
    def fail(tx):
        insert(tx, "a")
        raise LookupError("of the work")

    with pytest.raises(LookupError, match="of the work"):
        database.write(fail)
    assert keys(database) == set()


def test_one_failing_piece_takes_nothing_else_with_it(database):
    def ask(number):
        def do(tx):
            insert(tx, f"{number}-one")
            if number % 3 == 1:
                raise LookupError(number)
            insert(tx, "taken" if number % 3 == 2 else f"{number}-two")

        try:
            database.write(do)
        except (LookupError, IntegrityError) as error:
            return type(error)
        return None

    insert_taken = database.write(lambda tx: insert(tx, "taken"))
    with ThreadPoolExecutor(16) as pool:
        ends = list(pool.map(ask, range(90)))
    assert ends == [None, LookupError, IntegrityError] * 30
    assert keys(database) == {insert_taken} | {f"{n}-{word}" for n in range(0, 90, 3) for word in ("one", "two")}


def test_a_mistake_in_the_sql_is_no_outage(database):
    for statement in ("SELECT * FROM nothing_of_the_kind", "SELEC 1"):
        with pytest.raises(DBAPIError):
            database.write(lambda tx, statement=statement: tx.exec_driver_sql(statement))
        with pytest.raises(DBAPIError), database.read() as tx:
            tx.exec_driver_sql(statement)
    database.write(lambda tx: insert(tx, "a"))
    assert keys(database) == {"a"}


def test_a_snapshot_does_not_move_and_hinders_nobody(database):
    database.write(lambda tx: insert(tx, "before"))
    with database.read() as tx:
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(small_blobs)
        assert tx.execute(count).scalar() == 1
        database.write(lambda tx: insert(tx, "meanwhile"))
        assert tx.execute(count).scalar() == 1
    assert keys(database) == {"before", "meanwhile"}


def test_reading_goes_on_during_a_long_write(database):
    begun, go_on = threading.Event(), threading.Event()

    def long(tx):
        insert(tx, "long")
        begun.set()
        assert go_on.wait(30)

    writer = threading.Thread(target=database.write, args=(long,))
    writer.start()
    try:
        assert begun.wait(10)
        started_s = time.monotonic()
        assert keys(database) == set()
        assert time.monotonic() - started_s < 20
    finally:
        go_on.set()
        writer.join()
    assert keys(database) == {"long"}


def test_nothing_can_be_written_while_reading_only_on_a_server(fresh_database):
    with pytest.raises(DatabaseUnavailable), fresh_database("postgresql").read() as tx:
        insert(tx, "a")


def test_only_what_must_survive_a_loss_of_power_waits_for_the_disk(database):
    question = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}[database.dialect]
    answers = {"sqlite": (2, 1), "postgresql": ("on", "off")}[database.dialect]

    def ask(tx):
        insert(tx, str(time.monotonic_ns()))
        return tx.exec_driver_sql(question).scalar()

    assert (database.write(ask), database.write(ask, durable=False)) == answers
    assert database.write(ask) == answers[0]
    assert len(keys(database)) == 3


def test_who_asks_is_not_kept_and_gets_what_came_of_it(database):
    """For an event loop, which must not wait."""

    def refuse(_tx):
        raise LookupError("of the work")

    asked = [database.ask(lambda _tx, n=number: n) for number in range(20)]
    refused = database.ask(refuse)
    assert [future.result(10) for future in asked] == list(range(20))
    with pytest.raises(LookupError, match="of the work"):
        refused.result(10)


# ---- killed in the middle ----

WRITER = """
import sys
from penstock.database.opening import open_database
from penstock.database.statements import Statement
from concurrent.futures import ThreadPoolExecutor
insert = Statement("INSERT INTO small_blobs (key, data) VALUES (:key, :data)")
database = open_database(sys.argv[1])
def one(number):
    key = sys.argv[2] + "-" + str(number)
    database.write(lambda tx: [insert.run(tx, {"key": key + part, "data": bytes(2000)}) for part in "ab"])
    sys.stdout.write(key + "\\n")
    sys.stdout.flush()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(one, range(int(sys.argv[3]))))
database.close()
"""


def writer(url, name, count=10**6):
    return subprocess.Popen([sys.executable, "-c", WRITER, url, name, str(count)], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_process_killed_while_it_commits_loses_nothing_that_it_was_told_of(fresh_database_url, kind):
    url = fresh_database_url(kind)
    told: set[str] = set()
    for round_ in range(3):
        with writer(url, f"round-{round_}") as process:
            assert process.stdout is not None
            told |= {process.stdout.readline().strip() for _ in range(20 + 13 * round_)}
            process.kill()
            told |= {line.strip() for line in process.stdout if line.endswith("\n")}
    with contextlib.closing(open_database(url)) as database:
        found = keys(database)
        assert {key + part for key in told for part in "ab"} <= found
        assert {key[:-1] + "a" for key in found} | {key[:-1] + "b" for key in found} == found  # whole or not at all
        if kind == "sqlite":
            with database.read() as tx:
                assert tx.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


# ---- SQLite ----


def test_processes_that_write_to_one_file_get_fair_shares(fresh_database_url):
    url = fresh_database_url("sqlite")
    with contextlib.ExitStack() as afterwards:
        processes = [afterwards.enter_context(writer(url, name)) for name in "pqrs"]
        with contextlib.closing(open_database(url)) as database:
            wait_for(lambda: len({key[0] for key in keys(database)}) == 4)
            before = keys(database)
            time.sleep(1.5)
            done = keys(database) - before
        for process in processes:
            process.kill()
    shares = [sum(key.startswith(name) for key in done) / len(done) for name in "pqrs"]
    assert min(shares) > 0.05, shares


def test_work_that_asks_for_another_transaction_is_told_instead_of_waiting_for_itself(fresh_database):
    database = fresh_database("sqlite")
    with pytest.raises(Bug, match="another transaction"):
        database.write(lambda tx: database.write(lambda inner: insert(inner, "a")))
    database.write(lambda tx: insert(tx, "b"))
    assert keys(database) == {"b"}


def test_who_finds_nobody_writing_does_it_and_those_who_come_meanwhile_leave_it_to_one_thread(fresh_database):
    database = fresh_database("sqlite")
    begun, go_on = threading.Event(), threading.Event()

    def hold(tx):
        begun.set()
        assert go_on.wait(60)
        return threading.get_ident()

    with ThreadPoolExecutor(4) as threads:
        alone = threads.submit(lambda: (threading.get_ident(), database.write(hold)))
        assert begun.wait(60)
        others = [threads.submit(database.write, lambda tx: threading.current_thread().name) for _ in range(3)]
        wait_for(lambda: database._asked == len(others))
        go_on.set()
        asked_by, done_by = alone.result()
        assert asked_by == done_by
        assert {each.result() for each in others} == {"database-writer"}
    assert database.write(lambda tx: threading.current_thread().name) == "database-writer"  # it may not be the only one
    assert database.write(lambda tx: threading.get_ident()) == threading.get_ident()


def test_closing_finishes_what_was_asked_for_and_refuses_the_rest(fresh_database_url):
    url = fresh_database_url("sqlite")
    database = open_database(url)
    begun = threading.Event()

    def slow(tx):
        begun.set()
        time.sleep(0.3)
        return insert(tx, "asked")

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(database.write, slow)
        begun.wait(10)
        database.close()
        assert asked.result(timeout=10) == "asked"
    with pytest.raises(DatabaseUnavailable, match="closed"):
        database.write(lambda tx: insert(tx, "late"))
    database.close()
    with contextlib.closing(open_database(url)) as again:
        assert keys(again) == {"asked"}


def test_closing_does_not_wait_long_for_another_process_that_writes(fresh_database_url):
    url = fresh_database_url("sqlite")
    database = open_database(url)
    with holding(url), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(database.write, lambda tx: insert(tx, "a"))
        time.sleep(0.1)
        started_s = time.monotonic()
        database.close()
        assert time.monotonic() - started_s < 20
        with pytest.raises(DatabaseUnavailable, match="locked"):
            asked.result(timeout=10)


def test_a_file_that_stays_busy_is_said_after_a_while_and_works_again(fresh_database_url, monkeypatch):
    monkeypatch.setattr(limits, "DATABASE_BUSY", Limit("database_busy", 1, "s", "a short one for the test"))
    url = fresh_database_url("sqlite")
    with contextlib.closing(open_database(url)) as database:
        with holding(url):
            started_s = time.monotonic()
            with pytest.raises(DatabaseUnavailable, match="locked"):
                database.write(lambda tx: insert(tx, "a"))
            assert time.monotonic() - started_s < 20
            assert keys(database) == set()
        database.write(lambda tx: insert(tx, "b"))
        assert keys(database) == {"b"}


def test_a_file_that_is_busy_for_a_moment_is_waited_for(fresh_database_url):
    url = fresh_database_url("sqlite")
    with contextlib.closing(open_database(url)) as database, ThreadPoolExecutor(1) as pool:
        with holding(url):
            asked = pool.submit(database.write, lambda tx: insert(tx, "a"))
            time.sleep(0.3)
            assert not asked.done()
        assert asked.result(timeout=10) == "a"


@contextlib.contextmanager
def holding(url):
    """Hold the turn to write, as another process would."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


FULL = """
import resource, signal, sys
from penstock.core.errors import DatabaseUnavailable
from penstock.database.opening import open_database
from penstock.database.statements import Statement
from concurrent.futures import ThreadPoolExecutor
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
insert = Statement("INSERT INTO small_blobs (key, data) VALUES (:key, :data)")
database = open_database(sys.argv[1])
def one(key, size=100_000):
    try:
        database.write(lambda tx: insert.run(tx, {"key": key, "data": bytes(size)}))
    except DatabaseUnavailable as error:
        print("said", error.message)
        return False
    return True
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, resource.RLIM_INFINITY))
with ThreadPoolExecutor(8) as pool:
    done = list(pool.map(lambda number: one(f"full-{number}"), range(200)))
assert not one("huge", 50_000_000)
with database.read() as tx:
    found = {key for (key,) in tx.exec_driver_sql("SELECT key FROM small_blobs")}
assert found == {f"full-{number}" for number, ended in enumerate(done) if ended}, (len(found), sum(done))
assert 0 < sum(done) < 200, sum(done)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert one("room again")
with database.read() as tx:
    assert tx.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
database.close()
"""


def test_a_full_disk_is_said_loses_nothing_and_is_survived(fresh_database_url):
    url = fresh_database_url("sqlite")
    ended = subprocess.run([sys.executable, "-c", FULL, url], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "cannot be used now: " in ended.stdout
    with contextlib.closing(open_database(url)) as database:
        assert "room again" in keys(database)


def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path):
    path = tmp_path / "penstock.db"
    path.write_bytes(b"a letter, not a database" * 100)
    with contextlib.closing(open_database(f"sqlite:///{path}")) as database:
        for act in (lambda: keys(database), lambda: database.write(lambda tx: insert(tx, "a"))):
            with pytest.raises(DatabaseUnavailable, match="not a database") as caught:
                act()
            assert "backup" in caught.value.hint
    assert path.read_bytes() == b"a letter, not a database" * 100


def test_the_files_are_the_owners_alone(tmp_path):
    path = tmp_path / "home" / "penstock.db"
    with contextlib.closing(open_database(f"sqlite:///{path}")) as database:
        database.write(metadata.create_all)
        files = list(path.parent.iterdir())
        assert {file.name for file in files} == {"penstock.db", "penstock.db-wal", "penstock.db-shm"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_opened_twice_keeps_its_log_when_another_process_leaves(fresh_database_url):
    url = fresh_database_url("sqlite")
    leaving = (
        "import sys; from penstock.database.opening import open_database; opened = open_database(sys.argv[1]);"
        "opened.write(lambda tx: tx.exec_driver_sql('SELECT 1 FROM small_blobs')); opened.close()"
    )
    row = {"key": "a", "data": b"1"}
    with contextlib.closing(open_database(url)) as first, contextlib.closing(open_database(url)) as second:
        first.write(lambda tx: tx.execute(small_blobs.insert(), [row]))
        with contextlib.closing(open_database(url)):
            subprocess.run([sys.executable, "-c", leaving, url], check=True, timeout=30)
        first.write(lambda tx: tx.execute(small_blobs.insert(), [row | {"key": "b"}]))
        with second.read() as tx:
            assert len(tx.execute(small_blobs.select()).all()) == 2


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingInvalid, match=r"file/penstock\.db cannot be opened"):
        SqliteDatabase(tmp_path / "file" / "penstock.db")
