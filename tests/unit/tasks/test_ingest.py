"""Ingest of files: what lands, what is rejected, what happens when columns change, and that nothing arrives twice."""

import contextlib
import dataclasses
import gzip
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.checks.judging import GxSuites
from penstock.connectors import connectors
from penstock.core.errors import InputNotFound, InputUnreadable, ProjectInvalid, SchemaRefused, TaskFailed
from penstock.project.loading import load_project
from penstock.tasks import run_kinds
from tests.pipelines import ingest_context

AUDIT = ("_run", "_date", "_landed_at", "_source", "_hash")


@pytest.fixture
def ingest(tmp_path, sandbox):
    """Return a function that opens a project with one ingest of files."""
    with contextlib.ExitStack() as stack:

        def open_one(task: str):
            project = {
                "penstock.yml": "name: shop\nconnections:\n  disk: { kind: files, path: data }\n",
                "pipelines/main.yml": f"tasks:\n  land: {{ kind: ingest, {task} }}\n",
            }
            (tmp_path / "data").mkdir(exist_ok=True)
            return stack.enter_context(ingest_context(tmp_path, strict=sandbox, files=project))

        yield open_one


def put(bench, name, text):
    path = bench.folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def landed(bench, table="raw.orders"):
    """Return the rows of a table as mappings, without what differs from run to run."""
    names = list(bench.columns(table))
    rows = [dict(zip(names, row, strict=True)) for row in bench.rows(table)]
    return [{name: value for name, value in row.items() if name not in AUDIT} for row in rows]


ORDERS = 'from: { connection: disk, path: "*.ndjson" }, to: raw.orders'


def test_records_land_as_they_are_with_where_they_came_from(ingest):
    bench = ingest(ORDERS)
    put(bench, "a.ndjson", '{"id": 1, "total": 2.5, "paid": true, "who": {"n": [1]}}\n{"id": 2, "note": "x"}\n')
    assert bench.run("land") == {"rows": 2, "rejected": 0, "bytes": 80}
    assert bench.columns("raw.orders") == {
        "id": "long",
        "total": "double",
        "paid": "boolean",
        "who": "string",
        "note": "string",
        "_source": "string",
        "_hash": "string",
        "_run": "string",
        "_date": "date",
        "_landed_at": "timestamptz",
    }
    assert sorted(landed(bench), key=lambda row: row["id"]) == [
        {"id": 1, "total": 2.5, "paid": True, "who": '{"n":[1]}', "note": None},
        {"id": 2, "total": None, "paid": None, "who": None, "note": "x"},
    ]
    names = list(bench.columns("raw.orders"))
    row = dict(zip(names, bench.rows("raw.orders")[0], strict=True))
    assert (row["_run"], str(row["_date"]), row["_source"]) == ("run_1", "2026-01-02", "a.ndjson")


def test_a_file_is_taken_once_and_again_when_it_has_changed(ingest):
    bench = ingest(ORDERS)
    put(bench, "a.ndjson", '{"id": 1}\n')
    put(bench, "b.ndjson", '{"id": 2}\n')
    assert bench.run("land")["rows"] == 2
    bench.next_run()
    assert bench.run("land")["rows"] == 0
    put(bench, "b.ndjson", '{"id": 2}\n{"id": 3}\n')
    put(bench, "c.ndjson", '{"id": 4}\n')
    bench.next_run()
    assert bench.run("land")["rows"] == 3
    assert sorted(row["id"] for row in landed(bench)) == [1, 2, 2, 3, 4]


def test_a_file_that_was_only_copied_or_touched_is_not_taken_again(ingest):
    bench = ingest(ORDERS)
    put(bench, "a.ndjson", '{"id": 1}\n')
    assert bench.run("land")["rows"] == 1
    os.utime(bench.folder / "data/a.ndjson", ns=(1, 1))
    put(bench, "b.ndjson", '{"id": 1}\n')  # another file, though it has the same bytes
    bench.next_run()
    assert bench.run("land")["rows"] == 1
    assert any("have the bytes that were taken before" in line for line in bench.logs())
    put(bench, "a.ndjson", '{"id": 2}\n')
    bench.next_run()
    assert bench.run("land")["rows"] == 1
    assert sorted(row["id"] for row in landed(bench)) == [1, 1, 2]


def test_malformed_records_go_beside_with_line_reason_and_text(ingest):
    bench = ingest('from: { connection: disk, path: "**/*.csv.gz" }, to: raw.orders, columns: { id: long }')
    put(bench, "x/a.csv.gz", gzip.compress(b"id,name\n1,a\n2\nthree,c\n"))
    assert bench.run("land") == {"rows": 2, "rejected": 1, "bytes": 42}
    assert sorted(landed(bench), key=str) == [
        {"id": 1, "id__text": None, "name": "a"},
        {"id": None, "id__text": "three", "name": "c"},
    ]
    assert landed(bench, "raw.orders__rejected") == [
        {"line": 3, "error": "expected 2 fields, as the header has, found 1", "record": "2"}
    ]


def test_an_object_that_becomes_a_text_half_way_loses_nothing(ingest):
    bench = ingest(ORDERS)
    put(bench, "a.ndjson", '{"id": 1, "customer": {"email": "a"}}\n')
    bench.run("land")
    put(bench, "b.ndjson", '{"id": 2, "customer": "b"}\n{"id": "three", "customer": 7, "Extra": null, "new": 1}\n')
    bench.next_run()
    assert bench.run("land")["rows"] == 2
    assert sorted(((row["id"], row["id__text"], row["customer"], row["new"]) for row in landed(bench)), key=str) == [
        (1, None, '{"email":"a"}', None),
        (2, None, "b", None),
        (None, "three", "7", 1),
    ]
    assert any("do not fit" in line for line in bench.logs())


def test_a_frozen_table_refuses_other_columns_with_the_difference_and_takes_nothing(ingest):
    bench = ingest(ORDERS + ", schema: freeze")
    put(bench, "a.ndjson", '{"id": 1}\n')
    bench.run("land")
    put(bench, "b.ndjson", '{"id": "x", "more": 1}\n')
    bench.next_run()
    with pytest.raises(SchemaRefused) as refused:
        bench.run("land")
    assert {each["place"] for each in refused.value.problems} == {"id", "more"}
    assert "'more': it is new, long, first in b.ndjson" in refused.value.message
    assert "quarantine" in refused.value.hint
    put(bench, "b.ndjson", '{"id": 2}\n')
    bench.next_run()
    assert bench.run("land")["rows"] == 1  # it was not taken


def test_quarantine_sets_aside_the_records_that_do_not_fit_and_names_why(ingest):
    bench = ingest(ORDERS + ", schema: quarantine")
    put(bench, "a.ndjson", '{"id": 1, "n": 1.5}\n')
    bench.run("land")
    put(bench, "b.ndjson", '{"id": 2}\n{"id": "x", "n": 1}\n{"id": 3, "more": true}\n{"id": 4, "more": null}\n')
    bench.next_run()
    assert bench.run("land") == {"rows": 2, "rejected": 2, "bytes": 78}
    assert sorted(row["id"] for row in landed(bench)) == [1, 2, 4]
    assert sorted(row["error"] for row in landed(bench, "raw.orders__rejected")) == [
        "id: it is not long, as the table has it",
        "more: the table does not have it",
    ]
    records = [row["record"] for row in landed(bench, "raw.orders__rejected")]
    assert any('"id":"x"' in record for record in records)


def test_types_are_found_out_of_texts_when_asked_and_no_other(ingest):
    bench = ingest('from: { connection: disk, path: "*.csv" }, to: raw.orders, infer: true')
    put(
        bench,
        "a.csv",
        "n,x,zip,day,at,z,flag,mixed\n"
        "1,1.5,00123,2024-01-02,2024-01-02 03:04:05,2024-01-02T03:04:05+02:00,true,1\n"
        "2,2,01234,2024-01-03,2024-01-02T03:04:05.5,2024-01-02T03:04:05Z,false,a\n",
    )
    bench.run("land")
    found = {name: kind for name, kind in bench.columns("raw.orders").items() if name not in AUDIT}
    assert found == {
        "n": "long",
        "x": "double",
        "zip": "string",
        "day": "date",
        "at": "timestamp",
        "z": "timestamptz",
        "flag": "boolean",
        "mixed": "string",
    }


def test_types_that_are_asked_for_take_only_what_they_hold_exactly(ingest):
    columns = "columns: { n: long, day: date, price: 'decimal(8,2)' }"
    bench = ingest(f'from: {{ connection: disk, path: "*.csv" }}, to: raw.orders, {columns}')
    put(bench, "a.csv", "n,day,price\n1,2024-01-02,1.50\n1.5,2024-01-02 10:00,1.505\n")
    bench.run("land")
    rows = sorted(landed(bench), key=lambda row: row["n"] is None)
    assert [str(rows[0][name]) for name in ("n", "day", "price")] == ["1", "2024-01-02", "1.50"]
    assert [rows[1][f"{name}__text"] for name in ("n", "day", "price")] == ["1.5", "2024-01-02 10:00", "1.505"]


def test_parquet_keeps_its_types(ingest):
    bench = ingest('from: { connection: disk, path: "*.parquet" }, to: raw.orders')
    (bench.folder / "data").mkdir(exist_ok=True)
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.int32()), "_run": ["a", "b"]}), bench.folder / "data/a.parquet")
    assert bench.run("land")["rows"] == 2
    assert landed(bench) == [{"id": 1, "_run_": "a"}, {"id": 2, "_run_": "b"}]
    assert bench.columns("raw.orders")["id"] == "int"


def test_a_source_that_has_nothing_yet_leaves_a_table_for_those_who_read_it(ingest):
    source = 'from: { connection: disk, path: "*.csv", may_be_missing: true }'
    bench = ingest(f"{source}, to: raw.orders, columns: {{ n: long }}, schema: freeze")
    assert bench.run("land")["rows"] == 0
    assert (bench.columns("raw.orders")["n"], bench.rows("raw.orders")) == ("long", [])
    put(bench, "a.csv", "n,name\n1,a\n")
    bench.next_run()
    assert bench.run("land")["rows"] == 1
    assert landed(bench) == [{"n": 1, "name": "a"}]


def test_a_file_without_records_is_taken_and_makes_no_rows(ingest):
    bench = ingest(ORDERS)
    put(bench, "a.ndjson", "")
    assert bench.run("land")["rows"] == 0
    put(bench, "b.ndjson", '{"id": 1}\n')
    bench.next_run()
    assert bench.run("land")["rows"] == 1
    assert landed(bench) == [{"id": 1}]


def test_documents_have_their_records_inside(ingest):
    bench = ingest('from: { connection: disk, path: "*.json", records_at: data.orders }, to: raw.orders')
    put(bench, "a.json", '{"data": {"orders": [{"id": 1}, {"id": 2}]}}')
    bench.run("land")
    assert [row["id"] for row in landed(bench)] == [1, 2]


@pytest.mark.parametrize("path", ["../secrets.csv", "/etc/passwd"])
def test_a_path_leads_nowhere_but_into_the_project(ingest, path):
    with pytest.raises(ProjectInvalid, match=r"leads out of the connection's folder"):
        ingest(f"from: {{ connection: disk, path: {path} }}, to: raw.orders")


def test_a_link_that_leads_out_of_the_project_is_not_followed(ingest, tmp_path_factory):
    bench = ingest(ORDERS)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.ndjson"
    elsewhere.write_text('{"id": 1}\n')
    (bench.folder / "data" / "a.ndjson").symlink_to(elsewhere)
    with pytest.raises(TaskFailed, match="leads out of the project"):
        bench.run("land")


def test_on_a_server_without_a_folder_only_deployed_files_are_read(tmp_path, sandbox):
    files = {
        "penstock.yml": "name: shop\nconnections:\n  disk: { kind: files, path: data }\n",
        "pipelines/main.yml": f"tasks:\n  land: {{ kind: ingest, {ORDERS} }}\n",
        "data/a.ndjson": '{"id": 1}\n',
        "data/x/b.ndjson": '{"id": 2}\n',
    }
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "c.ndjson").write_text('{"id": 3}\n')
    with ingest_context(tmp_path, strict=sandbox, files=files) as bench:
        bench.parts = dataclasses.replace(bench.parts, files_folder=None)
        assert bench.run("land")["rows"] == 1
        bench.next_run()
        assert bench.run("land")["rows"] == 0
        assert landed(bench) == [{"id": 1}]


def test_what_lies_in_the_folder_of_the_workspace_is_read_instead_of_what_was_deployed(tmp_path, sandbox):
    files = {
        "penstock.yml": "name: shop\nconnections:\n  disk: { kind: files, path: data }\n",
        "pipelines/main.yml": f"tasks:\n  land: {{ kind: ingest, {ORDERS} }}\n",
        "data/a.ndjson": '{"id": 1}\n',
    }
    with ingest_context(tmp_path, strict=sandbox, files=files) as bench:
        assert bench.run("land")["rows"] == 1
        put(bench, "c.ndjson", '{"id": 3}\n')
        bench.next_run()
        assert bench.run("land")["rows"] == 1
        assert landed(bench) == [{"id": 1}, {"id": 3}]


def test_a_pattern_that_fits_nothing_fails(ingest):
    with pytest.raises(InputNotFound, match="no file fits"):
        ingest(ORDERS).run("land")


def test_when_more_records_are_rejected_than_may_nothing_lands_and_what_was_rejected_can_be_read(ingest):
    bench = ingest('from: { connection: disk, path: "*.csv" }, to: raw.orders')
    put(bench, "a.csv", "id,note\n1,x\n2,x,more\n3,x,more\n")
    for attempt in (1, 2):
        with pytest.raises(TaskFailed) as refused:
            bench.run("land", fingerprint="same", attempt=attempt)
    assert refused.value.message == "2 of 3 records were rejected; at most 50% may. None has landed"
    assert 'penstock query "SELECT error, count(*) FROM raw.orders__rejected GROUP BY 1"' in refused.value.hint
    assert [row["line"] for row in landed(bench, "raw.orders__rejected")] == [3, 4]
    put(bench, "a.csv", "id,note\n1,x\n2,x\n3,x,more\n")
    bench.next_run()
    assert bench.run("land")["rows"] == 2


@pytest.mark.parametrize(("errors_max", "fails"), [("100%", False), ("2", False), ("1", True), ("99%", True)])
def test_errors_max_is_a_number_of_records_or_a_share_of_them(ingest, errors_max, fails):
    bench = ingest(f'from: {{ connection: disk, path: "*.csv" }}, to: raw.orders, errors_max: {errors_max}')
    put(bench, "a.csv", "id\n2,x\n3,x\n")
    with pytest.raises(TaskFailed) if fails else contextlib.nullcontext():
        assert bench.run("land")["rejected"] == 2


def test_a_file_of_nothing_but_broken_records_leaves_a_table_with_the_columns_that_are_asked_for(ingest):
    bench = ingest(
        'from: { connection: disk, path: "*.csv" }, to: raw.orders, errors_max: 100%,'
        " columns: { id: int, note: string }"
    )
    put(bench, "a.csv", "id,note\n1,x,one too many\n")
    report = bench.run("land")
    assert (report["rows"], report["rejected"]) == (0, 1)
    assert set(bench.columns("raw.orders")) >= {"id", "note"}


def test_a_pattern_that_may_fit_nothing_lands_nothing(ingest):
    task = 'from: { connection: disk, path: "*.ndjson", may_be_missing: true }, to: raw.orders'
    assert ingest(task).run("land") == {"rows": 0, "rejected": 0, "bytes": 0}


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("from: { connection: dusk, path: x }, to: raw.x", "there is no connection 'dusk'"),
        ("from: { path: x }, to: raw.x", "'connection' is missing"),
        ("from: { connection: disk, pat: x }, to: raw.x", "'pat' is not known here"),
        ("from: { connection: disk, path: x }, to: raw", "is not the name of a table"),
        ("from: { connection: disk, path: x }, to: raw.x, columns: { a: integer }", "'integer' is no type"),
        ("from: { connection: disk, path: x }, to: raw.x, errors_max: 200%", "'200%' is neither a number of records"),
    ],
)
def test_mistakes_are_found_before_anything_runs(task, message):
    kinds = run_kinds(suites=GxSuites(), connectors=connectors())
    files = {
        "penstock.yml": b"name: shop\nconnections:\n  disk: { kind: files, path: data }\n",
        "pipelines/main.yml": f"tasks:\n  land: {{ kind: ingest, {task} }}\n".encode(),
    }
    with pytest.raises(ProjectInvalid) as refused:
        load_project(files, kinds=kinds, connection_kinds=connectors())
    assert any(message in problem.message for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("a,b,a", "columns 1, 3 share their names"),
        ("x name,X Name,b", "columns 1, 2 have names that differ in nothing"),
    ],
)
def test_columns_that_a_table_takes_for_one_fail_the_file_under_its_own_name(ingest, header, problem):
    bench = ingest('from: { connection: disk, path: "**/*.csv" }, to: raw.orders')
    put(bench, "in/dup.csv", f"{header}\n1,2,3\n")
    with pytest.raises(InputUnreadable, match=rf"^in/dup\.csv: {problem}.*\(line 1\)$"):
        bench.run("land")
