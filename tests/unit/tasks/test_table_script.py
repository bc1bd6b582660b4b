"""The task kind `script` of pipelines: a tenant's function over the rows of a table, in real children."""

import datetime as dt
import decimal
import hashlib
import random
import resource
import threading
import time

import pyarrow as pa
import pytest

from penstock.core.errors import NotFound, ProjectInvalid, Stopped, TaskFailed
from penstock.core.scripts import ScriptVersion
from penstock.core.tables import TableName
from tests.lakes import WORKSPACE
from tests.pipelines import load, pipeline_context

D1, D2 = dt.date(2026, 1, 1), dt.date(2026, 1, 2)
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
READ_NOON = NOON.replace(tzinfo=None)
PIPELINE = """
tasks:
  clean: {kind: script, script: clean, from: raw.orders, to: staging.orders, window: day}
  whole: {kind: script, script: batch, from: raw.orders, to: staging.whole}
  table: {kind: script, script: frame, from: raw.orders, to: staging.frame}
  typed:
    {kind: script, script: keep, from: raw.orders, to: staging.typed, columns: {total: "decimal(9,2)", note: string}}
  strict: {kind: script, script: picky, from: raw.orders, to: staging.strict, errors_max: 0}
  lenient: {kind: script, script: picky, from: raw.orders, to: staging.lenient, errors_max: 50%}
  changing: {kind: script, script: changing, from: raw.orders, to: staging.changing, errors_max: "1"}
  long: {kind: script, script: long, from: raw.orders, to: staging.long}
  exact: {kind: script, script: long, from: raw.orders, to: staging.exact, columns: {n: "decimal(38, 0)"}}
  nothing: {kind: script, script: nothing, from: raw.orders, to: staging.nothing}
  killer: {kind: script, script: killer, from: raw.orders, to: staging.killer, errors_max: 50%}
  for_ever: {kind: script, script: for_ever, from: raw.orders, to: staging.for_ever}
  registered: {kind: script, script: "clean@^1.2", from: raw.orders, to: staging.registered}
  js: {kind: script, script: js, from: raw.orders, to: staging.js}
  older: {kind: script, script: keep, from: raw.older, to: staging.older}
  one_batch: {kind: script, script: batch, from: raw.orders, to: staging.one_batch, whole: true}
  one_day: {kind: script, script: batch, from: raw.orders, to: staging.one_day, whole: true, window: day}
  parts: {kind: script, script: total, from: raw.many, to: staging.parts}
  one_table: {kind: script, script: total, from: raw.many, to: staging.one_table, whole: true}
  one_record: {kind: script, script: keep, from: raw.orders, to: staging.one_record, whole: true}
  too_large: {kind: script, script: total, from: raw.large, to: staging.too_large, whole: true}
  no_rows: {kind: script, script: total, from: raw.no_rows, to: staging.no_rows, whole: true}
"""
SCRIPTS = {
    "clean": "def process(r):\n    return {'id': r['id'], 'total': r['total'] * 2, 'at': r['at'], 'day': r['_date']}\n",
    "batch": "def process_batch(records):\n    return [{'n': len(records), 'odd': [1, {'a': 2}]}]\n",
    "keep": "def process(r):\n    return r\n",
    "picky": "def process(r):\n    if r['id'] == 2:\n        raise ValueError('no: ' + r['secret'])\n    return r\n",
    "changing": "def process(r):\n    return {'id': r['id'], 'v': 'many' if r['id'] == CHANGED else 7}\n",
    "long": "def process(r):\n    return {'n': [0, 1, 2**63, 2**70][r['id']], 'm': r['id'], 'f': 1.5}\n",
    "nothing": "def process(r):\n    return None\n",
    "killer": "def process(r):\n    while r['id'] == 1:\n        pass\n    return r\n",
    "for_ever": "def process(r):\n    while True:\n        pass\n",
}
FRAME = """
import pyarrow as pa
import pyarrow.compute as pc
def process_table(table):
    return table.select(['id', 'at']).append_column('double', pc.multiply(table['total'], 2))
"""
TOTAL = """
import pyarrow as pa
import pyarrow.compute as pc
def process_table(table):
    total, first = pc.sum(table['n']).as_py(), pc.min(table['at']).as_py()
    return pa.table({'rows': [table.num_rows], 'total': [total], 'first': [first]})
"""
FILES = {
    "pipelines/main.yml": PIPELINE,
    **{f"scripts/{name}.py": code.replace("CHANGED", "2") for name, code in SCRIPTS.items()},
    "scripts/frame.py": FRAME,
    "scripts/frame.yml": "profile: arrow\n",
    "scripts/total.py": TOTAL,
    "scripts/total.yml": "profile: arrow\n",
    "scripts/killer.yml": "limits: {wall_s: 1}\n",
    "scripts/for_ever.yml": "limits: {wall_s: 60, cpu_s: 60}\n",
    "scripts/js.js": "function process(r) { return {id: r.id, name: 'n' + r.id}; }\n",
}
ROWS = [
    {"id": 1, "total": 5.5, "at": NOON, "price": decimal.Decimal("1.10"), "secret": "s3cr3t-1", "_date": D1},
    {"id": 2, "total": 7.0, "at": NOON, "price": decimal.Decimal("2.20"), "secret": "s3cr3t-2", "_date": D2},
    {"id": 3, "total": 9.0, "at": None, "price": None, "secret": "s3cr3t-3", "_date": D2},
]

ORDERS = pa.Table.from_pylist(
    ROWS,
    schema=pa.schema(
        {
            "id": pa.int64(),
            "total": pa.float64(),
            "at": pa.timestamp("us", tz="UTC"),
            "price": pa.decimal128(3, 2),
            "secret": pa.string(),
            "_date": pa.date32(),
        }
    ),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory, sandbox):
    with pipeline_context(tmp_path_factory.mktemp("shop"), strict=sandbox, files=FILES) as opened:
        opened.put("raw.orders", ORDERS, by=("_date",))
        yield opened


@pytest.fixture(autouse=True)
def another_run(bench):
    bench.next_run(date="2026-01-02")


def test_the_rows_of_the_day_go_through_the_script_and_types_are_kept_where_values_allow(bench):
    report = bench.run("clean")
    assert (report["rows"], report["rejected"], report["records"]) == (2, 0, 2)
    bench.publish()
    assert bench.rows("staging.orders") == [(2, 14.0, READ_NOON, "2026-01-02", D2), (3, 18.0, None, "2026-01-02", D2)]
    assert bench.columns("staging.orders") == {
        "id": "long",
        "total": "double",
        "at": "timestamptz",
        "day": "string",
        "_date": "date",
    }
    hashed = hashlib.sha256(SCRIPTS["clean"].encode()).hexdigest()[:12]
    assert bench.lake.history(WORKSPACE, "staging.orders")[0].author.version == f"scripts/clean.py#{hashed}"
    bench.next_run(date="2026-01-01")
    bench.run("clean")
    bench.publish()
    assert [row[0] for row in bench.rows("staging.orders")] == [1, 2, 3]


def test_a_batch_of_records_gives_records_and_what_is_nested_is_kept_as_json(bench):
    bench.run("whole")
    bench.publish()
    assert bench.rows("staging.whole") == [(1, '[1,{"a":2}]'), (2, '[1,{"a":2}]')]


def test_a_function_over_many_records_is_given_all_of_them_at_once_when_that_is_asked_for(bench):
    assert bench.run("one_batch")["records"] == 3
    bench.run("one_day")
    bench.publish()
    assert bench.rows("staging.one_batch") == [(3, '[1,{"a":2}]')]
    assert bench.rows("staging.one_day") == [(2, '[1,{"a":2}]', D2)]


def test_a_function_over_a_table_is_given_all_of_it_at_once_when_that_is_asked_for(bench):
    count = 130_000  # more than a chunk has, and than one of the engine's row groups
    rows = pa.table({"n": range(count), "at": [NOON] * count, "day": [D1, D2] * (count // 2)})
    bench.put("raw.many", rows, by=("day",))
    assert bench.run("parts")["rows"] > 2
    bench.run("one_table")
    bench.publish()
    assert bench.rows("staging.one_table") == [(count, sum(range(count)), READ_NOON)]
    assert bench.columns("staging.one_table") == {"rows": "long", "total": "long", "first": "timestamptz"}


def test_what_cannot_be_given_at_once_is_refused(bench):
    with pytest.raises(TaskFailed, match="its process takes one record"):
        bench.run("one_record")
    noise = random.Random(1)
    text = [noise.randbytes(40).hex() for _ in range(300_000)]
    rows = pa.table({"n": range(len(text)), "at": [NOON] * len(text), "text": text})
    bench.put("raw.large", rows)
    with pytest.raises(
        TaskFailed, match=r"all 300,000 rows of raw\.large at once, and they are more than a chunk of 16"
    ):
        bench.run("too_large")
    bench.put("raw.large", rows.slice(0, 150_000).append_column("m", rows["text"].slice(0, 150_000)))  # once unfolded
    with pytest.raises(TaskFailed, match="all 150,000 rows"):
        bench.run("too_large")
    bench.put("raw.no_rows", rows.slice(0, 0))
    assert bench.run("no_rows")["rows"] == 0


def test_a_table_gives_a_table_with_its_types(bench):
    assert bench.run("table")["rows"] == 3
    bench.publish()
    assert bench.rows("staging.frame") == [(1, READ_NOON, 11.0), (2, READ_NOON, 14.0), (3, None, 18.0)]
    assert bench.columns("staging.frame")["at"] == "timestamptz"


def test_types_that_are_asked_for_are_taken(bench):
    bench.run("typed")
    bench.publish()
    types = bench.columns("staging.typed")
    assert (types["total"], types["price"]) == ("decimal(9, 2)", "decimal(3, 2)")


def test_a_whole_number_past_64_bits_keeps_its_digits_as_text_or_as_what_is_asked_for(bench):
    bench.run("long")
    bench.run("exact")
    bench.publish()
    assert bench.columns("staging.long") == {"n": "string", "m": "long", "f": "double"}
    assert bench.rows("staging.long") == [("1", 1, 1.5), (str(2**70), 3, 1.5), (str(2**63), 2, 1.5)]
    assert sorted(row[0] for row in bench.rows("staging.exact")) == [1, 2**63, 2**70]


def test_javascript_works_alike(bench):
    bench.run("js")
    bench.publish()
    assert bench.rows("staging.js") == [(1, "n1"), (2, "n2"), (3, "n3")]


def test_a_record_that_fails_is_set_aside_with_its_line_and_reason(bench):
    report = bench.run("lenient")
    assert (report["rows"], report["rejected"]) == (2, 1)
    assert report["causes"] == [{"code": "script_error", "type": "ValueError", "script_line": 3, "records": 1}]
    bench.publish()
    ((line, error, record, source, run, _, date),) = bench.rows("staging.lenient__rejected")
    assert (line, source, run, date) == (2, "raw.orders", bench.run_id, D2)
    assert error == "script_error: ValueError: no: s3cr3t-2 at line 3"
    assert '"id":2' in record
    assert "records were rejected; see staging.lenient__rejected" in bench.logs()


def test_too_many_that_fail_fail_the_task_and_can_be_looked_at_all_the_same(bench):
    with pytest.raises(TaskFailed) as caught:
        bench.run("strict")
    assert caught.value.message == ("1 of 3 records failed; most: ValueError at line 3 of the script; at most 0 may")
    assert "penstock query" in caught.value.hint
    assert caught.value.figures["causes"][0]["script_line"] == 3
    assert caught.value.figures["file"] == "scripts/picky.py"
    assert "s3cr3t" not in str(caught.value) + str(caught.value.figures) + " ".join(bench.logs())
    assert [row[0] for row in bench.rows("staging.strict__rejected")] == [2]
    with pytest.raises(NotFound):
        bench.rows("staging.strict")


def test_a_row_that_does_not_fit_the_table_is_rejected_and_named(tmp_path, sandbox):
    files = FILES | {"scripts/changing.py": SCRIPTS["changing"].replace("CHANGED", "99")}
    with pipeline_context(tmp_path, strict=sandbox, files=files) as bench:
        bench.put("raw.orders", ORDERS, by=("_date",))
        assert bench.run("changing")["rejected"] == 0
        bench.publish()
        bench.next_run()
        changed = FILES["scripts/changing.py"].encode()
        bench.change("scripts/changing.py", changed)
        report = bench.run("changing")
        assert (report["rows"], report["rejected"], report["misfits"]) == (2, 1, 1)
        bench.publish()
        assert bench.rows("staging.changing") == [(1, 7), (3, 7)]
        ((_, error, record, source, *_),) = bench.rows("staging.changing__rejected")
        assert (error, record) == ("v: it is not long, as the table has it", '{"id":2,"v":"many"}')
        assert source == "staging.changing"
        bench.next_run()
        bench.change("scripts/changing.py", changed.replace(b"2 else", b"99 else"))
        bench.run("changing")
        bench.publish()
        assert bench.rows("staging.changing__rejected") == [], "what was rejected before is no more"


def test_a_record_that_kills_its_child_harms_no_other(bench):
    report = bench.run("killer")
    assert (report["rows"], report["rejected"]) == (2, 1)
    assert report["causes"][0]["code"] == "limit_wall"


def test_a_script_that_gives_nothing_leaves_no_table_of_unknown_columns(bench):
    report = bench.run("nothing")
    assert (report["rows"], report["dropped"]) == (0, 3)
    assert any("its columns are not known" in line for line in bench.logs())


def test_a_script_without_end_ends_with_its_run(bench):
    with bench.open("for_ever") as ctx:
        threading.Timer(1.0, ctx.stop.ask).start()
        began_s = time.monotonic()
        with pytest.raises(Stopped, match="the run was cancelled"):
            bench.kinds["script"].run(bench.project.pipelines["main"].tasks["for_ever"].spec, ctx)
    assert time.monotonic() - began_s < 15


def test_a_registered_script_comes_from_the_registry(bench, monkeypatch):
    with pytest.raises(NotFound, match=r"there is no registry here that has clean@\^1.2"):
        bench.run("registered")
    asked = []

    def script(workspace, name, wanted):
        asked.append((name, wanted))
        return ScriptVersion("clean@1.2.3", SCRIPTS["keep"].encode(), "python", "std")

    with bench.open("registered") as ctx:
        import dataclasses

        ctx.parts = dataclasses.replace(ctx.parts, script=script)
        bench.kinds["script"].run(bench.project.pipelines["main"].tasks["registered"].spec, ctx)
        snapshot = ctx.wrote["staging.registered"]
    assert asked == [("clean", "^1.2")]
    lineage = bench.lake.lineage(ctx.occurrence.workspace, "staging.registered", snapshot)
    assert lineage.author.version == "clean@1.2.3"


def test_files_from_before_a_column_came_or_widened_are_read_as_the_table_is_now(tmp_path, sandbox):
    with pipeline_context(tmp_path, strict=sandbox, files=FILES) as bench:
        from penstock.core.ports import TableWrite

        uuid = "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::UUID"
        for sql in ("SELECT 1::INTEGER AS a, 1.5::FLOAT AS f", f"SELECT 2::BIGINT AS a, {uuid} AS u, [1] AS l"):
            bench.next_run()
            bench.ctx().write_query(TableWrite(TableName("raw.older"), "append"), sql, tables={})
            bench.publish()
        assert bench.run("older")["rows"] == 2
        bench.publish()
        assert bench.rows("staging.older") == [
            (1, 1.5, None, None),
            (2, None, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "[1]"),
        ]


def test_memory_stays_flat_however_many_rows(tmp_path, sandbox):
    """200,000 rows of 100 bytes: 20 MB as records, and as much again as output."""
    with pipeline_context(tmp_path, strict=sandbox, files=FILES) as bench:
        bench.put("raw.orders", pa.table({"id": range(200), "text": ["x" * 100] * 200}))
        bench.run("typed")
        bench.next_run()
        bench.put("raw.orders", pa.table({"id": range(200_000), "text": ["x" * 100] * 200_000}))
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert bench.run("typed", fingerprint="more")["rows"] == 200_000
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
        assert grown_mib < 40, "chunks in flight, and no more"


@pytest.mark.parametrize(
    ("task", "words", "file"),
    [
        ("script: claen, from: raw.a, to: a.b", "script: there is no script 'claen'", "pipelines/main.yml"),
        ("script: clean, from: raw.a, to: raw.a", "to: raw.a is the table that it reads", "pipelines/main.yml"),
        ("script: clean, from: raw.a, to: a.b, errors_max: many", "'many' is neither a number", "pipelines/main.yml"),
        ("script: clean, from: raw.a, to: a.b, columns: {a: money}", "'money' is no type", "pipelines/main.yml"),
        ("script: 'a b', from: raw.a, to: a.b", "a b", "pipelines/main.yml"),
        ("script: bad, from: raw.a, to: a.b", "wall: 'wall' is not known here", "scripts/bad.yml"),
        ("script: both, from: raw.a, to: a.b", "there are two scripts 'both'", "scripts/both.py"),
        ("script: shown, from: raw.a, to: a.b", "the example 'one' says what comes out", "scripts/shown.yml"),
        ("script: other, from: raw.a, to: a.b", "the profile js is not for python", "scripts/other.yml"),
    ],
)
def test_what_is_wrong_is_told_before_a_run(task, words, file):
    files = {
        "pipelines/main.yml": f"tasks:\n  t: {{kind: script, {task}}}\n",
        "scripts/clean.py": SCRIPTS["keep"],
        "scripts/bad.py": SCRIPTS["keep"],
        "scripts/bad.yml": "limits: {wall: 3}\n",
        "scripts/both.py": SCRIPTS["keep"],
        "scripts/both.js": "",
        "scripts/shown.py": SCRIPTS["keep"],
        "scripts/shown.yml": "examples: [{name: one, input: [{a: 1}]}]\n",
        "scripts/other.py": SCRIPTS["keep"],
        "scripts/other.yml": "profile: js\n",
    }
    with pytest.raises(ProjectInvalid) as caught:
        load(files)
    (found,) = [one for one in caught.value.problems if words.partition(": ")[2] in one.message or words in one.message]
    assert found.place.file == file
