"""The heavy sandbox: an engine within its bounds, and every way in which one ends without an answer."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from penstock.core import limits
from penstock.core.engines import EngineAnswer, EngineFailure, EngineLimits, EngineReport, EngineRequest, Stop
from penstock.core.errors import SandboxUnavailable, SandboxUnsafe
from penstock.core.scripts import Act
from penstock.sandbox import heavy
from penstock.sandbox.heavy import HeavySandbox
from penstock_guest.heavy.probe import ACTS

MIB = 2**20
BOUNDS = EngineLimits(wall_s=60, cpu_s=30, memory_bytes=512 * MIB, disk_bytes=512 * MIB)
FOR_EVER = "SELECT count(*) FROM range(90_000) a, range(90_000) b WHERE hash(a.range + b.range) = 7"
MUCH_MEMORY = "SELECT length(string_agg(repeat('x', 1_000_000) || range)) FROM range(900)"
ROOT = Path(__file__).parents[3]
SAFE = EngineReport((Act("fork", stopped=True, how="PermissionError"),))
CHILD = """\
import json, os, socket, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
channel.recv(2**20)
def say(text):
    channel.sendall(text.encode())
LOCKED = '{"landlock_abi": 1}\\n'
"""


@pytest.fixture
def staging(tmp_path):
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    """1.5 M rows of 60 bytes that do not shrink much."""
    path = tmp_path_factory.mktemp("input") / "orders.parquet"
    columns = "range AS id, hash(range)::VARCHAR || hash(range + 1)::VARCHAR AS name, (range % 97)::INTEGER AS shop"
    duckdb.execute(f"COPY (SELECT {columns} FROM range(1_500_000)) TO '{path}' (FORMAT parquet)")
    return str(path)


def asked(staging, sql, *, orders=None, rows=True, bounds=BOUNDS, options=()):
    """Return a request; `raw.orders` is the table."""
    tables = {"raw.orders": {"relation": f"SELECT * FROM read_parquet('{orders}')"}} if orders else {}
    output = None if rows else {"name": "out.parquet", "options": list(options)}
    ask = {"tables": tables, "sql": sql, "output": output, "rows_max": 3, "readable": [orders] if orders else []}
    return EngineRequest("sql", ask, [orders] if orders else [], str(staging), bounds)


def ran(staging, sql, **words):
    return HeavySandbox().run(asked(staging, sql, **words))


@contextlib.contextmanager
def pretending(tmp_path, code):
    """A sandbox whose children say what a test wants."""
    boot = tmp_path / "boot.py"
    boot.write_text(CHILD + code)
    HeavySandbox._reports[boot] = SAFE
    yield HeavySandbox(boot=boot)
    del HeavySandbox._reports[boot]


def test_a_query_answers_with_its_columns_and_rows(staging, orders):
    answer = ran(staging, "SELECT shop, count(*) AS n FROM raw.orders GROUP BY shop ORDER BY shop", orders=orders)
    assert isinstance(answer, EngineAnswer)
    assert answer.answer["columns"] == [["shop", "INTEGER"], ["n", "BIGINT"]]
    assert answer.answer["rows"] == [[0, 15464], [1, 15464], [2, 15464]]
    assert answer.answer["more"] is True
    assert answer.landlock_abi >= 1
    assert answer.memory_bytes > MIB


def test_values_that_json_lacks_come_as_text(staging):
    number = "99999999999999999999"
    sql = f"SELECT 1.50::DECIMAL(5, 2), 'nan'::DOUBLE, TIMESTAMPTZ '2020-01-01 00:00:00+01', [1, 2], {number}, NULL"
    answer = ran(staging, sql)
    assert answer.answer["rows"] == [["1.50", "nan", "2019-12-31 23:00:00+00", "[1, 2]", number, None]]


def test_rows_go_into_a_file_and_not_through_the_service(staging, orders):
    answer = ran(staging, "SELECT * FROM raw.orders WHERE shop = 5", orders=orders, rows=False)
    assert [(Path(file["path"]).name, file["rows"]) for file in answer.answer["files"]] == [("out.parquet", 15464)]
    assert [path.name for path in staging.iterdir()] == ["out.parquet"]


def test_partitions_are_files_in_folders(staging, orders):
    answer = ran(
        staging, "SELECT * FROM raw.orders WHERE shop < 3", orders=orders, rows=False, options=["PARTITION_BY (shop)"]
    )
    assert sum(file["rows"] for file in answer.answer["files"]) == 3 * 15464
    assert sorted(path.name for path in (staging / "out.parquet").iterdir()) == ["shop=0", "shop=1", "shop=2"]


def test_a_sort_of_more_than_memory_spills_and_succeeds(staging, orders):
    """110 MB of rows in an engine that may have 200 MiB, of which DuckDB takes half for them."""
    bounds, ended = replace(BOUNDS, memory_bytes=200 * MIB), threading.Event()
    spilled: set[str] = set()

    def look():
        while not ended.wait(0.02):
            spilled.update(path.name for path in staging.glob(".spill/*"))

    looking = threading.Thread(target=look)
    looking.start()
    answer = ran(staging, "SELECT * FROM raw.orders ORDER BY name", orders=orders, rows=False, bounds=bounds)
    ended.set()
    looking.join()
    assert isinstance(answer, EngineAnswer), answer
    assert spilled != set()
    assert answer.answer["rows"] == 1_500_000
    path = staging / "out.parquet"
    unsorted = "SELECT count(*) FROM (SELECT name, lag(name) OVER () AS before FROM '{}') WHERE before > name"
    assert duckdb.execute(unsorted.format(path)).fetchall() == [(0,)]
    assert [path.name for path in staging.iterdir()] == ["out.parquet"], "nothing of what it spilled is left"


def test_a_sort_that_spills_more_than_it_may_says_so(staging, orders):
    bounds = replace(BOUNDS, memory_bytes=200 * MIB, disk_bytes=20 * MIB)
    failure = ran(staging, "SELECT * FROM raw.orders ORDER BY name", orders=orders, rows=False, bounds=bounds)
    assert (failure.code, list(staging.glob(".spill"))) == ("limit_disk", [])


@pytest.mark.parametrize(
    ("sql", "bounds", "code"),
    [
        (FOR_EVER, {"wall_s": 1.5}, "limit_wall"),
        (FOR_EVER, {"cpu_s": 1}, "limit_cpu"),
        (MUCH_MEMORY, {"memory_bytes": 256 * MIB}, "limit_memory"),
        ("SELECT repeat('x', 20_000_000)", {}, "limit_output"),
    ],
    ids=["wall", "cpu", "memory", "answer"],
)
def test_every_bound_has_its_code(staging, sql, bounds, code):
    failure = ran(staging, sql, bounds=replace(BOUNDS, **bounds))
    assert isinstance(failure, EngineFailure)
    assert failure.code == code, failure


def test_somebody_else_can_stop_it(staging):
    stop = Stop()
    threading.Timer(0.5, stop.ask).start()
    failure = HeavySandbox().run(asked(staging, FOR_EVER), stop=stop)
    assert isinstance(failure, EngineFailure)
    assert failure.code == "cancelled"


@pytest.mark.parametrize(
    ("sql", "words", "line"),
    [
        ("SELECT 1\nFROM raw.oders", "oders does not exist", 2),
        ("SELECT\n  nam\nFROM raw.orders", '"nam" not found', 2),
        ("SELECT 1;\nSELECT 2", "one SELECT is expected, found: SELECT, SELECT", None),
        ("COPY raw.orders TO 'x'", "one SELECT is expected, found: COPY", None),
        ("", "one SELECT is expected, found: nothing", None),
        ("SELEC 1", "syntax error", 1),
    ],
)
def test_an_error_says_what_and_in_which_line(staging, orders, sql, words, line):
    failure = ran(staging, sql, orders=orders)
    assert (failure.code, failure.line, failure.killed) == ("sql_failed", line, False)
    assert words in failure.message


@pytest.mark.parametrize(
    "expression",
    [
        "CAST(name AS INTEGER)",
        "CAST(name || chr(10) || 'it''s' AS DATE)",
        "CAST(id + 4711000 AS TINYINT)",
        "(id + 4711000)::INTEGER * 2_000_000_000::INTEGER",
        "strptime(name, '%Y')",
        "error(name)",
        "regexp_matches('a', '(' || name)",
        "timezone(name, now())",
        "format('{' || name, 1)",
    ],
)
def test_an_error_tells_no_values_of_rows(staging, orders, expression):
    failure = ran(staging, f"SELECT {expression} FROM raw.orders ORDER BY id", orders=orders)
    assert failure.code == "sql_failed"
    assert re.search("[0-9]{3}", failure.message) is None, failure.message


def test_an_error_that_may_hold_values_says_its_kind_only(staging):
    failure = ran(staging, "SELECT 1,\n  CAST(x AS INTEGER) FROM (VALUES ('secret')) t(x)")
    assert failure.message.partition(";")[0] == "Conversion Error: a value of the data cannot be converted"
    assert failure.line is None  # DuckDB counts in another statement by then
    failure = ran(staging, "SELECT x * x FROM (VALUES (9223372036854775807)) t(x)")
    assert failure.message.partition(";")[0] == "Out of Range Error: Overflow in multiplication of INT64"


def test_a_link_among_the_inputs_gives_nothing(staging, orders, tmp_path):
    link = tmp_path / "link.parquet"
    link.symlink_to(orders)
    failure = ran(staging, "SELECT count(*) FROM raw.orders", orders=str(link))
    assert failure.message.startswith("IO Error: a file cannot be read or written")


def test_every_act_of_the_self_test_is_tried_and_stopped():
    report = HeavySandbox().report()
    assert [act.name for act in report.acts] == [words for words, _ in ACTS.values()]
    assert report.safe


def test_the_self_test_is_made_once_a_process(monkeypatch):
    HeavySandbox().report()
    monkeypatch.setattr(heavy, "_self_test", lambda _: pytest.fail("again"))
    assert HeavySandbox().report().safe


def test_the_self_test_decides(staging, monkeypatch):
    worked = EngineReport((*SAFE.acts, Act("read a file", stopped=False, how="it worked")))
    monkeypatch.setitem(HeavySandbox._reports, heavy.BOOT, worked)
    with pytest.raises(SandboxUnsafe, match="one could read a file"):
        ran(staging, "SELECT 1")


def test_without_landlock_engines_are_refused(staging, tmp_path):
    boot = tmp_path / "boot.py"
    boot.write_text(
        f"import sys; sys.path[:0] = {[str(ROOT / 'src')]!r}\n"
        "from penstock_guest import lock; lock.landlock_abi = lambda: 0\n"
        "from penstock_guest.heavy import boot; boot.main()\n"
    )
    sandbox = HeavySandbox(boot=boot)
    assert "no Landlock" in sandbox.report().refused
    with pytest.raises(SandboxUnsafe, match="no Landlock"):
        sandbox.run(asked(staging, "SELECT 1"))


def test_a_child_that_is_killed_has_crashed(staging, tmp_path):
    with pretending(tmp_path, "say(LOCKED); os.kill(os.getpid(), 9)") as sandbox:
        failure = sandbox.run(asked(staging, "SELECT 1"))
    assert (failure.code, failure.message) == ("crashed", "it ended without an answer (SIGKILL)")


def test_a_child_that_never_answers_ends_with_its_time(staging, tmp_path):
    with pretending(tmp_path, "say(LOCKED); time.sleep(60)") as sandbox:
        failure = sandbox.run(asked(staging, "SELECT 1", bounds=replace(BOUNDS, wall_s=0.5)))
    assert failure.code == "limit_wall"


def test_a_child_that_stays_after_its_answer_is_ended(staging, tmp_path):
    with pretending(tmp_path, "say(LOCKED + '{}'); channel.shutdown(2); channel.close(); time.sleep(60)") as sandbox:
        started_s = time.monotonic()
        sandbox.run(asked(staging, "SELECT 1"))
    assert time.monotonic() - started_s < limits.CHILD_EXIT.value + 30


def test_a_child_that_does_not_start_is_nobodys_fault(staging, tmp_path):
    with (
        pretending(tmp_path, "sys.exit('no such library')") as sandbox,
        pytest.raises(SandboxUnavailable, match="no such library"),
    ):
        sandbox.run(asked(staging, "SELECT 1"))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "\\n",
        "nonsense",
        "[]",
        "null",
        '{"answer": []}',
        '{"answer": null}',
        '{"unlocked": "forged"}',
        '{"broken": 7}',
        '{"broken": {"code": "sql_failed"}}',
        "[" * 100_000,
    ],
)
def test_a_forged_answer_is_a_crash_and_nothing_more(staging, tmp_path, words):
    """What comes after the lock may be the attacker's; above all it cannot say that there was no lock."""
    with pretending(tmp_path, f"say(LOCKED + {words!r})".replace("\\\\n", "\\n")) as sandbox:
        assert sandbox.run(asked(staging, "SELECT 1")).code == "crashed"


def test_a_forged_error_has_a_known_code_and_printable_words(staging, tmp_path):
    said = '{"broken": {"code": "sandbox_unsafe", "message": "a\\\\u001b[31mb", "line": "x"}}'
    with pretending(tmp_path, f"say(LOCKED + '{said}')") as sandbox:
        failure = sandbox.run(asked(staging, "SELECT 1"))
    assert (failure.code, failure.message, failure.line) == ("crashed", "a [31mb", None)


def test_an_answer_of_countless_parts_is_not_taken_apart(staging, tmp_path):
    """Sixteen MiB of empty lists would take half a GiB of the service's memory."""
    code = "say(LOCKED + '{\"answer\": {\"rows\": [' + '[],' * 2**20 + '1]}}')"
    with pretending(tmp_path, code) as sandbox:
        assert sandbox.run(asked(staging, "SELECT 1")).code == "limit_output"


def test_words_without_end_on_standard_error_fill_nothing(staging, tmp_path):
    code = """
say(LOCKED + '{"answer": {}}')
for _ in range(1000):
    try:
        os.write(2, bytes(65536))
    except BlockingIOError:
        pass
"""
    with pretending(tmp_path, code) as sandbox:
        assert isinstance(sandbox.run(asked(staging, "SELECT 1")), EngineAnswer)


def test_what_is_written_after_the_last_look_counts(staging, tmp_path):
    code = f"open({str(staging / 'late')!r}, 'wb').write(bytes(3 * 2**20)); say(LOCKED + '{{\"answer\": {{}}}}')"
    with pretending(tmp_path, code) as sandbox:
        assert sandbox.run(asked(staging, "SELECT 1", bounds=replace(BOUNDS, disk_bytes=MIB))).code == "limit_disk"


def test_an_engine_ends_with_its_worker(staging):
    """A worker that is killed watches no bounds any more."""
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from penstock.sandbox import heavy
from tests.unit.sandbox.test_heavy import FOR_EVER, asked
with heavy._Child(heavy.BOOT, asked(Path({str(staging)!r}), FOR_EVER)) as child:
    print(child._process.pid, flush=True)
    child.attend(heavy.Stop())
"""
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    with worker:
        assert worker.stdout is not None
        engine = int(worker.stdout.readline())
        time.sleep(1)
        os.kill(worker.pid, signal.SIGKILL)
    deadline_s = time.monotonic() + 10
    while Path(f"/proc/{engine}").exists() and Path(f"/proc/{engine}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline_s, "the engine goes on"
        time.sleep(0.05)


def test_a_deep_folder_can_be_cleared(tmp_path):
    at, start = os.open(tmp_path, os.O_RDONLY), tmp_path / "d"
    for number in range(1_500):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(os.open(f"f{number}", os.O_CREAT, dir_fd=at))
        os.close(at)
        at = below
    os.close(at)
    heavy.clear(start)
    assert not start.exists()


def test_a_link_is_removed_and_not_followed(tmp_path):
    (tmp_path / "kept").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path)
    heavy.clear(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_link_is_the_only_way_out_that_an_engine_gets(staging):
    """With a connected socket in its hands, it can do nothing more than without."""
    ours, theirs = socket.socketpair()
    secret, given = staging.parent / "secret", staging.parent / "given"
    secret.write_bytes(b"secret")
    given.write_bytes(b"given")
    ask = {"secret": str(secret), "input": str(given), "memory_bytes": 4 * BOUNDS.memory_bytes}
    with ours, theirs:
        request = EngineRequest("probe", ask, [str(given)], str(staging), BOUNDS, link=theirs.fileno())
        end = HeavySandbox().run(request)
    assert isinstance(end, EngineAnswer)
    assert [name for name in ACTS if end.answer["acts"][name] is None] == []
