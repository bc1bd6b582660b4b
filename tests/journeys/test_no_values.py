"""No value of a row is anywhere but in tables: not in a view, an event, a log, an alert, or the records database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest

from penstock.database.schema import metadata
from tests.carrying import carry_out
from tests.journeys.command import Here
from tests.processes import wait_for
from tests.serving import Api, Tenant
from tools import reference

CANARIES = ["Wintermute", "wintermute", "neuromancer", "73510", "98127364", "1987-06-05", "Straylight"]
PEOPLE = [
    {
        "id": 98127364,
        "name": "Wintermute Case",
        "email": "wintermute@neuromancer.example",
        "amount": 73510.25 + number // 2,
        "seen": "1987-06-05T04:03:02Z",
        "home": {"town": "Straylight"},
        "other": f"Straylight {number}",
    }
    for number in range(5)
]
SUITE = {
    "name": "people",
    "expectations": [
        {"type": kind, "kwargs": kwargs}
        for kind, kwargs in (
            ("expect_column_values_to_be_in_set", {"column": "name", "value_set": ["nobody"]}),
            ("expect_column_values_to_be_null", {"column": "email"}),
            ("expect_column_values_to_be_between", {"column": "amount", "max_value": 1}),
            ("expect_column_values_to_match_regex", {"column": "email", "regex": "^x$"}),
            ("expect_column_values_to_be_unique", {"column": "id"}),
            ("expect_compound_columns_to_be_unique", {"column_list": ["id", "name"]}),
            ("expect_column_pair_values_to_be_equal", {"column_A": "name", "column_B": "other"}),
            ("expect_column_value_lengths_to_equal", {"column": "name", "value": 1}),
            ("expect_column_max_to_be_between", {"column": "amount", "max_value": 1}),
            ("expect_column_min_to_be_between", {"column": "name", "max_value": "A"}),
            ("expect_column_median_to_be_between", {"column": "amount", "max_value": 1}),
            (
                "expect_column_quantile_values_to_be_between",
                {"column": "amount", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]}},
            ),
            ("expect_column_distinct_values_to_be_in_set", {"column": "name", "value_set": ["nobody"]}),
            ("expect_column_most_common_value_to_be_in_set", {"column": "name", "value_set": ["nobody"]}),
            ("expect_column_max_to_be_fresh", {"column": "seen", "within": "1d"}),
            ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT *, map([name], [1]) AS m FROM {batch}"}),
            ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT CAST(name AS INTEGER) FROM {batch}"}),
        )
    ],
}
FILES = {
    "penstock.yml": "name: canary\nconnections: {here: {kind: files, path: data}}\n"
    "alerts: {team: 'jsons://127.0.0.1:9/x'}\n",
    "data/people.ndjson": "".join(json.dumps(each) + "\n" for each in PEOPLE) + '{"name": "Wintermute\n',
    "expectations/people.json": json.dumps(SUITE),
    "scripts/picky.py": "def process(data):\n    print(data)\n    raise ValueError('not ' + data['name'])\n",
    "scripts/odd.py": "def process(data):\n    return {data['email']: object()} if data['id'] else 1\n",
    "pipelines/people.yml": """\
alerts: [team]
tasks:
  land: {kind: ingest, from: {connection: here, path: "*.ndjson"}, to: raw.people}
  warn: {kind: expectations, from: raw.people, suite: expectations/people.json, on_failure: warn}
  block: {kind: expectations, from: raw.people, suite: expectations/people.json}
  picky: {kind: script, script: picky, from: raw.people, to: staging.picky}
  odd: {kind: script, script: odd, from: raw.people, to: staging.odd}
  cast: {kind: sql, sql: "SELECT CAST(name AS INTEGER) AS n FROM raw.people", from: raw.people, to: staging.cast}
""",
}
VALUES = {"list_task_items", "query_tables"}  # which show rows, to those who may read them


@pytest.fixture(scope="module")
def tenant(api: Api) -> Tenant:
    return api.tenant("canary")


@pytest.fixture(scope="module")
def run(api: Api, tenant: Tenant) -> str:
    """A run of which everything has failed that can."""
    with api.client(tenant) as client:
        client.projects.deploy({name: text.encode() for name, text in FILES.items()})
        run = client.runs.start("canary", "people").id
        carry_out(api, tenant)
        api.server.alerts.send_due()
        api.server.alerts.send_due()
        states = {task["name"]: task["state"] for task in client.runs.read(run).tasks}
        rows = client.tables.query("SELECT * FROM raw.people__rejected")
    assert states == dict.fromkeys(["block", "picky", "odd", "cast"], "failed") | {
        "land": "succeeded",
        "warn": "succeeded",
    }
    assert "Wintermute" in str(rows)  # where it is meant to be
    return run


def test_no_answer_of_the_api_holds_a_value_of_a_row(api: Api, tenant: Tenant, run: str):
    with api.http(tenant) as http:
        incident = http.get("/api/v1/incidents").json()["items"][0]["id"]
        names = {"project": "canary", "pipeline": "people", "run_id": run, "incident_id": incident}
        asked = 0
        for path in reads():
            for table in ("raw.people", "raw.people__rejected", "staging.picky__rejected"):
                url = path.format(**names, table=table)
                answer = http.get(url)
                assert (url, answer.status_code) == (url, 200)
                assert (url, found_in(answer.text)) == (url, [])
                asked += 1
                if "{table}" not in path:
                    break
        assert asked > 20
        samples = [each["result"].get("partial_unexpected_list") for each in verdicts_of(http.get("/api/v1/checks"))]
        assert ["xxxxxxxxxx xxxx"] * 5 in samples
        failed = http.post("/api/v1/tables/query", json={"sql": "SELECT CAST(name AS INTEGER) FROM raw.people"})
        assert (failed.status_code, found_in(failed.text)) == (422, [])


def test_no_command_prints_a_value_of_a_row_unless_it_is_asked_for_rows(
    api: Api, tenant: Tenant, run: str, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    here = Here(tmp_path)
    monkeypatch.setenv("PENSTOCK_URL", api.url)
    monkeypatch.setenv("PENSTOCK_API_KEY", tenant.api_key)
    for words in (
        ["status", run, "--server"],
        ["status", run, "--server", "--json"],
        ["checks", "--run", run, "--server"],
        ["checks", "--run", run, "--server", "--json"],
        ["logs", run, "--server"],
        ["alerts", "list"],
        ["tables", "--server"],
        ["lineage", "raw.people", "--server"],
        ["audit", "list"],
    ):
        said = here.penstock(*words)
        assert said.out
        assert (words, found_in(said.out + said.err)) == (words, [])
    assert "script_error: ValueError" in here.penstock("status", run, "--server").out


def test_nothing_that_is_recorded_or_sent_holds_a_value_of_a_row(api: Api, run: str):
    with api.server.database.read() as tx:
        for table in metadata.sorted_tables:
            rows = str(tx.execute(table.select()).all())
            assert (table.name, found_in(rows)) == (table.name, [])
        assert len(tx.exec_driver_sql("SELECT body FROM alert_deliveries").all()) > 1


def test_no_line_of_the_log_holds_a_value_of_a_row(api: Api, tenant: Tenant, run: str, log: BytesIO, capfd):
    with api.client(tenant) as client:
        client.runs.resume(run)
        carry_out(api, tenant)
        client.tables.query("SELECT name FROM raw.people WHERE name = 'Wintermute Case'")
    wait_for(lambda: log.getvalue().count(b"request.finished") == 2)
    assert found_in(log.getvalue().decode() + "".join(capfd.readouterr())) == []


def test_what_a_task_is_done_for_is_shown_to_those_who_may_read_rows(api: Api, tenant: Tenant, run: str):
    path = f"/api/v1/runs/{run}/tasks/land/items"
    with api.http(tenant) as http:
        scopes = {"name": "watcher", "scopes": ["pipelines:read"]}
        key = http.post("/api/v1/keys", json=scopes).raise_for_status().json()["api_key"]
        assert http.get(path).status_code == 200
    with api.http(key=key) as watcher:
        assert watcher.get(f"/api/v1/runs/{run}").status_code == 200
        refused = watcher.get(path)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")


def reads() -> Iterator[str]:
    """Yield the path of each route that shows what runs and tables are, and no rows."""
    for path, item in json.loads(reference.openapi())["paths"].items():
        name = item.get("get", {}).get("operationId")
        known = ("{run_id}", "{table}", "{project}", "{pipeline}", "{incident_id}")
        plain = path
        for word in known:
            plain = plain.replace(word, "")
        if name and name not in VALUES and path.startswith("/api/v1/") and "{" not in plain:
            yield path


def verdicts_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [verdict for check in answer.json()["items"] for verdict in check["verdicts"]]


def found_in(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]
