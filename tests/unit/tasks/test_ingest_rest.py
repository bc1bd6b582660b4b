"""Ingest from an HTTP API as a project says it: secrets stay secret, shapes change, duplicates and faults pass by."""

import pytest

from penstock.core.errors import SourceRefused
from tests.pipelines import ingest_context
from tests.sources import Source, serve

PROJECT = """name: shop
connections:
  api:
    kind: rest
    url: "${secret:API_URL}"
    auth: { kind: header, name: X-Key, value: "${secret:API_KEY}" }
"""
TASKS = """
tasks:
  land:
    kind: ingest
    from: { connection: api, path: header, cursor: { field: at, param: since } }
    to: raw.orders
"""


@pytest.fixture
def source():
    with serve(Source(secret="very-secret-key")) as source:
        yield source


@pytest.fixture
def bench(tmp_path, sandbox, source):
    files = {"penstock.yml": PROJECT, "pipelines/main.yml": TASKS}
    with ingest_context(tmp_path, strict=sandbox, files=files) as bench:
        bench.secrets.update(API_URL=source.url, API_KEY=source.secret)
        yield bench


def test_a_source_that_changes_and_fails_lands_and_its_secrets_are_nowhere(bench, source):
    source.records = [{"id": 1, "at": "2024-01-01", "customer": {"email": "a"}}]
    source.faults = {1: "500", 2: "truncated"}
    assert bench.run("land")["rows"] == 1
    source.records += [{"id": "2b", "at": "2024-01-02", "customer": "gone", "new": [1]}, "no record"]
    bench.next_run()
    assert bench.run("land")["rejected"] == 1
    names = list(bench.columns("raw.orders"))
    rows = [dict(zip(names, row, strict=True)) for row in bench.rows("raw.orders")]
    found = {(row["id"], row["id__text"], row["customer"], row["new"], row["_source"]) for row in rows}
    assert found == {
        (1, None, '{"email":"a"}', None, "api:header"),
        (None, "2b", "gone", "[1]", "api:header"),
    }
    bench.secrets["API_KEY"] = "very-secret-other"
    bench.next_run()
    with pytest.raises(SourceRefused, match="it answered 401") as refused:
        bench.run("land")
    with bench.database.read() as tx:
        kept = str([tx.exec_driver_sql(f"SELECT * FROM {table}").all() for table in ("task_logs", "cursors")])
    everything = f"{rows} {bench.rows('raw.orders__rejected')} {kept} {refused.value.message} {refused.value.hint}"
    assert "very-secret" not in everything
    assert source.url not in everything
