"""Names of columns: those of audit columns, and odd ones, from every kind of source through to exports and queries."""

import contextlib
import csv
import io
import json
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.core.errors import CheckFailed, InputUnreadable, SchemaRefused, TaskFailed
from tests.pipelines import ingest_context
from tests.sources import Source, serve

TAKEN = ["_run", "_run_", "_RUN__", "_Hash", "_date", "_source", "_landed_at", "_runs", "id"]
LANDED = ["_run_", "_run__", "_RUN___", "_Hash_", "_date_", "_source_", "_landed_at_", "_runs", "id"]
ODD = ["order", "select", 'a"b', "it's", "a.b", "two words", " x ", "größe", "日本", "%s", "{x}", "-- c", ";"]
ODD += ["a\\b", "null", "1st", "rowid", "*", "COLUMNS(*)", "a,b", "struct", "x__text", "_file"]
SOURCES = ("csv", "ndjson", "json", "parquet", "sqlite", "rest")
SET = "expect_column_distinct_values_to_be_in_set"


def records(names):
    return [{name: row * 100 + place for place, name in enumerate(names)} for row in range(2)]


def put(folder, names):
    """Write the same records in every format."""
    rows, text = records(names), io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *(row.values() for row in rows)])
    (folder / "a.csv").write_text(text.getvalue())
    (folder / "a.json").write_text(json.dumps(rows))
    (folder / "a.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    with contextlib.closing(sqlite3.connect(folder / "a.db")) as database:
        columns = ", ".join('"' + name.replace('"', '""') + '" integer' for name in names)
        database.execute(f"CREATE TABLE t ({columns})")
        marks = ", ".join("?" * len(names))
        database.executemany(f"INSERT INTO t VALUES ({marks})", [list(row.values()) for row in rows])
        database.commit()


@pytest.fixture
def project(tmp_path, sandbox):
    """Return a function that opens a project with some tasks, whose sources have the same records."""
    with contextlib.ExitStack() as stack:

        def opened(tasks, *, names=("id",), suite=()):
            (tmp_path / "data").mkdir()
            source = stack.enter_context(serve(Source(records=[])))
            source.records, source.size = records(list(names)), 10
            if "sqlite" in tasks:
                put(tmp_path / "data", list(names))
            files = {
                "penstock.yml": "name: shop\nconnections:\n  disk: { kind: files, path: data }\n"
                f"  sqlite: {{ kind: sqlite, path: data/a.db }}\n  rest: {{ kind: rest, url: '{source.url}' }}\n",
                "pipelines/main.yml": f"tasks:\n{tasks}",
                "expectations/s.json": json.dumps({"expectation_suite_name": "s", "expectations": list(suite)}),
            }
            return stack.enter_context(ingest_context(tmp_path, strict=sandbox, files=files, parallel=1))

        yield opened


def task(source):
    said = {"sqlite": "{ connection: sqlite, table: t }", "rest": "{ connection: rest, path: all }"}
    wanted = said.get(source, f"{{ connection: disk, path: a.{source} }}")
    return f"  {source}: {{ kind: ingest, from: {wanted}, to: raw.{source} }}\n"


@pytest.mark.parametrize(("names", "landed"), [(TAKEN, LANDED), (ODD, ODD)], ids=["taken", "odd"])
def test_names_land_alike_from_every_source(project, names, landed):
    bench = project("".join(map(task, SOURCES)), names=names)
    for source in SOURCES:
        bench.run(source)
        found = list(bench.columns(f"raw.{source}"))
        assert sorted(found) == sorted([*landed, "_source", "_hash", "_run", "_date", "_landed_at"]), source
        picked = [[int(row[found.index(name)]) for name in landed] for row in bench.rows(f"raw.{source}")]
        assert sorted(picked) == [list(row.values()) for row in records(names)], source


def test_odd_names_go_through_sql_checks_and_exports(project):
    suite = [
        {"expectation_type": kind, "kwargs": {"column": name, **more}}
        for name in ODD
        for kind, more in (
            ("expect_column_values_to_not_be_null", {}),
            ("expect_column_values_to_be_unique", {}),
            ("expect_column_values_to_match_regex", {"regex": "^[0-9]+$"}),
            (SET, {"value_set": ["none"]}),
        )
    ]
    exports = "".join(
        f"  out_{kind}: {{ kind: export, from: staging.odd, to: {{ connection: disk, path: 'out.{kind}' }} }}\n"
        for kind in ("csv", "ndjson", "parquet")
    )
    picked = ", ".join('"' + name.replace('"', '""') + '"' for name in ODD).replace("'", "''")
    bench = project(
        "".join(map(task, SOURCES))
        + f"  odd: {{ kind: sql, sql: 'SELECT {picked} FROM t', from: {{ t: raw.csv }}, to: staging.odd }}\n"
        + "  check: { kind: expectations, from: staging.odd, suite: expectations/s.json }\n"
        + exports,
        names=ODD,
        suite=suite,
    )
    bench.run("csv")
    bench.run("odd")
    bench.publish()
    assert list(bench.columns("staging.odd")) == ODD
    with pytest.raises(CheckFailed) as unmet:
        bench.run("check")
    assert f"{len(ODD)} of {4 * len(ODD)} expectations" in unmet.value.message
    assert f"{SET}(order): values that are not in the set: 2" in unmet.value.message
    for kind in ("csv", "ndjson", "parquet"):
        bench.run(f"out_{kind}")
    folder = bench.folder / "data"
    with (folder / "out.csv").open() as file:
        assert next(csv.reader(file)) == ODD
    assert list(json.loads((folder / "out.ndjson").read_text().splitlines()[0])) == ODD
    assert pq.read_schema(folder / "out.parquet").names == ODD


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("a.csv", "a,b,a\n1,2,3\n", InputUnreadable, "columns 1, 3 share their names"),
        ("a.csv", "a,b,A\n1,2,3\n", InputUnreadable, "columns 1, 3 have names that differ in nothing but case"),
        ("a.parquet", ["a", "b", "A"], TaskFailed, "columns 1, 3 have names that differ in nothing but case"),
        ("a.parquet", ["a", "a"], TaskFailed, "columns 1, 2 have names"),
        ("a.ndjson", '{"a": 1}\n{"A": 2}\n', TaskFailed, "some records have a field 'a', others 'A'"),
        ("a.ndjson", json.dumps(dict.fromkeys(map(str, range(10_000)), 1)), SchemaRefused, "there are 10,005 columns"),
    ],
)
def test_names_that_are_none_of_their_own_or_too_many_are_refused(project, name, content, error, words):
    bench = project(task(name.split(".")[1]))
    if isinstance(content, str):
        (bench.folder / "data" / name).write_text(content)
    else:
        nested = pa.array([{"a": 1, "A": [2]}])  # of a column's own parts nobody is told
        pq.write_table(pa.table([nested] * len(content), names=content), bench.folder / "data" / name)
    with pytest.raises(error, match=words):
        bench.run(name.split(".")[1])


def test_columns_of_parquet_may_end_in_numbers(project):
    bench = project(task("parquet"))
    pq.write_table(pa.table([[{"a": 1}], [2], [3]], names=["a", "a_1", "b"]), bench.folder / "data" / "a.parquet")
    bench.run("parquet")
    assert list(bench.columns("raw.parquet"))[:3] == ["a", "a_1", "b"]


def test_a_parquet_column_comes_with_its_first_value_and_holds_every_whole_number(project):
    bench = project(task("parquet"))
    most = 2**64 - 1
    first = pa.table({"a": [1], "later": pa.nulls(1), "big": pa.array([most], pa.uint64())})
    pq.write_table(first, bench.folder / "data" / "a.parquet")
    bench.run("parquet")
    bench.next_run()
    assert "later" not in bench.columns("raw.parquet")
    second = first.set_column(1, "later", pa.array(["x"])).set_column(0, "a", pa.nulls(1))
    pq.write_table(second, bench.folder / "data" / "a.parquet")
    bench.run("parquet")
    names = list(bench.columns("raw.parquet"))
    rows = [dict(zip(names, row, strict=True)) for row in bench.rows("raw.parquet")]
    found = sorted((row["a"] or 0, row["later"], row["big"]) for row in rows)
    assert found == [(0, "x", most), (1, None, most)]


def test_a_column_without_a_name_is_called_by_its_place(project):
    bench = project(task("csv"))
    (bench.folder / "data" / "a.csv").write_text("a,,b,\n1,2,3,4\n")
    bench.run("csv")
    assert list(bench.columns("raw.csv"))[:4] == ["a", "column_2", "b", "column_4"]
