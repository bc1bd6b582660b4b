"""Scripts over HTTP: from a draft to a job on its published version, and back."""

from __future__ import annotations

import itertools

import httpx
import pytest

from penstock.cli import script_texts
from penstock.client import Client
from penstock.core.errors import (
    ApprovalNeeded,
    Conflict,
    ExamplesFailed,
    NotAllowed,
    NotFound,
    RequestInvalid,
    VersionRevoked,
)
from tests.serving import Api, Tenant

CODE = "def process(data):\n    return {'total': data['price'] * data['quantity']}\n"
EXAMPLE = {"name": "total", "input": [{"price": 2, "quantity": 3}], "output": [{"total": 6}]}
NUMBERS = itertools.count()
VERSIONS = "/api/v1/scripts/orders/versions"


@pytest.fixture
def tenant(api: Api) -> Tenant:
    """A workspace for each test."""
    return api.tenant(f"t{next(NUMBERS)}")


@pytest.fixture
def http(api: Api, tenant: Tenant):
    with api.http(tenant) as client:
        client.post("/api/v1/scripts", json={"name": "orders"}).raise_for_status()
        yield client


@pytest.fixture
def client(api: Api, tenant: Tenant, http: httpx.Client):
    with api.client(tenant) as client:
        yield client


def test_a_script_goes_from_draft_to_active(http):
    made = http.post(VERSIONS, json={"code": CODE, "examples": [EXAMPLE]})
    assert (made.status_code, made.json()["version"], made.json()["state"]) == (201, "1.0.0", "draft")
    path = made.headers["location"]
    assert http.get(path).json() == made.json()
    code = http.get(f"{path}/code")
    assert (code.text, code.headers["content-type"]) == (CODE, "text/plain; charset=utf-8")
    published = http.patch(f"{path}/publish")
    assert (published.status_code, published.json()["state"]) == (200, "published")
    assert published.json()["hash"] == made.json()["hash"]
    assert http.put(path, json={"code": CODE + "#"}).status_code == 409
    active = http.patch(f"{path}/activate").json()
    assert (active["active_version"], active["active_version_id"]) == ("1.0.0", made.json()["id"])
    assert http.get("/api/v1/scripts/orders").json() == active | {"running_max": None, "paused": None}
    assert http.get(f"{VERSIONS}/active").json()["id"] == made.json()["id"]


def test_a_failing_example_shows_the_difference(http):
    http.post(VERSIONS, json={"code": CODE, "examples": [EXAMPLE | {"output": [{"total": 7}]}]})
    refused = http.patch(f"{VERSIONS}/1.0.0/publish")
    assert refused.status_code == 422
    problem = refused.json()
    assert problem["code"] == "examples_failed"
    assert problem["problems"] == [
        {"place": "examples.total/0/total", "message": "the output differs", "expected": "7", "got": "6"}
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "query"),
    [
        (b'{"price":2,"quantity":3}\n', "application/x-ndjson", ""),
        (b'[{"price":2,"quantity":3}]', "application/json", ""),
        (b'{"price":2,"quantity":3}\n', "application/octet-stream", "?format=ndjson"),
    ],
)
def test_a_draft_is_tried_on_a_sample(http, body, content_type, query):
    http.post(VERSIONS, json={"code": CODE})
    tried = http.post(f"{VERSIONS}/1.0.0/try{query}", content=body, headers={"Content-Type": content_type})
    assert tried.status_code == 200, tried.text
    assert (tried.json()["output"], tried.json()["records"]) == ('{"total":6}\n', 1)


def test_a_sample_that_is_too_large_is_refused(http):
    http.post(VERSIONS, json={"code": CODE})
    assert http.post(f"{VERSIONS}/1.0.0/try", content=b"{}\n" * 1001).status_code == 413
    assert http.post(f"{VERSIONS}/1.0.0/try", content=b" " * (2**20 + 1)).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b'{"code": ""}',
        b'{"code": "x", "limits": {"wall_s": 0}}',
        b'{"code": "x", "limits": {"wall_s": NaN}}',
        b'{"code": "x", "input_schema": {"const": NaN}}',
        b'{"code": "x", "input_schema": {"const": 1e999}}',
        b'{"code": "x", "examples": [{"name": "a", "input": [{"a": "\\ud800"}], "output": []}]}',
        b'{"code": "x", "examples": [{"name": "a", "input": [{"a": 123456789012345678901234567890}], "output": []}]}',
        b'{"code": "x", "examples": [{"name": "a", "input": [{}]}]}',
        b'{"code": "x", "version": "1.0"}',
        b'{"code": "x", "unknown": 1}',
        b'{"code": "\\ud800"}',
    ],
)
def test_a_version_that_is_not_valid_is_refused_with_its_place(http, body):
    refused = http.post(VERSIONS, content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 422, refused.text
    assert refused.json()["code"] == "request_invalid"


def test_texts_are_kept_as_they_are_but_for_what_no_database_keeps(http):
    body = {"name": "words", "description": "é 🚰\n'\";--"}
    assert http.post("/api/v1/scripts", json=body).json()["description"] == body["description"]
    assert http.post("/api/v1/scripts", json={"name": "nul", "description": "a\0b"}).status_code == 422


def test_a_job_that_waits_for_a_revoked_version_fails_and_says_so(api, client):
    client.scripts.push("orders", {"code": CODE})
    client.scripts.publish("orders", "1.0.0")
    client.scripts.activate("orders", "1.0.0")
    job = client.jobs.submit("orders", [{"price": 1, "quantity": 1}])
    client.scripts.revoke("orders", "1.0.0", reason="it leaks")
    api.work()
    ended = client.jobs.read(job.id)
    assert (ended.state, ended.error and ended.error["code"]) == ("failed", "version_revoked")
    with pytest.raises(VersionRevoked):
        client.jobs.submit("orders", [{}], version="1.0.0")
    with pytest.raises(NotFound, match="no active version"):
        client.jobs.submit("orders", [{}])


def test_a_job_keeps_the_version_that_its_range_stood_for(client):
    for number in ("1.0.0", "1.1.0"):
        client.scripts.push("orders", {"code": CODE + f"# {number}\n"}, number=number)
        client.scripts.publish("orders", number)
    job = client.jobs.submit("orders", [{}], version="^1.0")
    client.scripts.push("orders", {"code": CODE}, number="1.2.0")
    client.scripts.publish("orders", "1.2.0")
    kept = client.jobs.read(job.id)
    assert (kept.version, kept.shown["script"]["asked"]) == ("1.1.0", "^1.0")


def test_a_paused_script_says_since_when_and_why(api, tenant, http):
    script = http.get("/api/v1/scripts/orders").json()["id"]

    def kill(tx):
        return api.server.queue.count_kill(tx, tenant.workspace, script, killed=True)

    assert any(api.server.database.write(kill) for _ in range(100))
    paused = http.get("/api/v1/scripts/orders").json()["paused"]
    assert paused["since"].endswith("Z")
    assert "in a row were killed" in paused["reason"]
    assert http.post("/api/v1/scripts/orders/resume").json() == {"resumed": True}
    assert http.get("/api/v1/scripts/orders").json()["paused"] is None


def test_how_many_of_a_script_run_at_once_is_an_operator_s_to_say(api, tenant, http):
    path = "/api/v1/scripts/orders"
    with Client(api.url, api.key_of(tenant, "editor")) as editor, pytest.raises(NotAllowed):
        editor.scripts.bound("orders", running_max=2)
    with Client(api.url, api.key_of(tenant, "operator")) as operator:
        assert operator.scripts.bound("orders", running_max=2).shown["running_max"] == 2
    assert http.get(path).json()["running_max"] == 2
    for wrong in (0, -1, 2.5, "many", 10_000):
        refused = http.patch(path, json={"running_max": wrong})
        assert (refused.status_code, refused.json()["problems"][0]["place"]) == (422, "body.running_max"), refused.text
    assert http.patch(path, json={}).status_code == 422
    assert http.patch(path, json={"running_max": None}).json() == http.get(path).json()
    assert http.get(path).json()["running_max"] is None


def test_a_second_person_approves(api, tenant, client, capsys):
    client.scripts.push("orders", {"code": CODE, "limits": {"wall_s": 120}})
    with pytest.raises(ApprovalNeeded):
        client.scripts.publish("orders", "1.0.0")
    asked = client.scripts.ask("orders", "1.0.0", reason="year's end")
    with pytest.raises(NotAllowed):
        client.scripts.decide(asked.id, "approve")
    with Client(api.url, api.key_of(tenant, "viewer")) as viewer, pytest.raises(NotAllowed):
        viewer.scripts.decide(asked.id, "approve")
    with Client(api.url, api.key_of(tenant, "operator")) as operator:
        assert [one.id for one in operator.scripts.approvals(state="waiting")] == [asked.id]
        decided = operator.scripts.decide(asked.id, "approve", reason="fine")
    assert (decided.state, decided.shown["requested_by_name"]) == ("approved", "ada")
    assert decided.shown["decided_by_name"].startswith("operator-")
    assert decided.shown["decided_by"].startswith("mem_")
    script_texts.show_approvals(list(client.scripts.approvals()))
    table = capsys.readouterr().out
    assert decided.shown["decided_by_name"] in table
    assert "mem_" not in table.partition("approval")[2]
    published = client.scripts.publish("orders", "1.0.0")
    assert published.state == "published"
    assert published.shown["published_by"].startswith("mem_")
    capsys.readouterr()
    script_texts.show_version(published)
    shown = capsys.readouterr().out.partition("written")[2]  # a line of the log may have come before it
    assert shown.count(" by ada") == 2
    assert "mem_" not in shown


def test_the_client_raises_what_the_server_says(client):
    client.scripts.push("orders", {"code": CODE, "examples": [EXAMPLE | {"output": []}]})
    with pytest.raises(ExamplesFailed) as refused:
        client.scripts.publish("orders", "1.0.0")
    assert refused.value.problems[0]["place"] == "examples.total/0"
    with pytest.raises(NotFound) as missing:
        client.scripts.read("order")
    assert "orders" in missing.value.hint
    with pytest.raises(Conflict):
        client.scripts.rollback("orders")


def test_a_push_changes_a_draft_and_adds_to_what_is_published(client):
    first = client.scripts.push("orders", {"code": CODE})
    again = client.scripts.push("orders", {"code": CODE + "#"})
    assert (first.created, again.created, again.version.id) == (True, False, first.version.id)
    client.scripts.publish("orders", "1.0.0")
    assert client.scripts.push("orders", {"code": CODE}).version.number == "1.0.1"
    assert client.scripts.push("orders", {"code": CODE}, number="2.0.0").created
    assert not client.scripts.push("orders", {"code": CODE + "#"}, number="1.0.1").created
    assert client.scripts.push("new", {"code": CODE}).version.script == "new"


def test_a_push_of_what_is_published_says_so(client, capsys):
    assert client.scripts.push("orders", {"code": CODE}).same_as is None
    client.scripts.publish("orders", "1.0.0")
    again = client.scripts.push("orders", {"code": CODE, "examples": [EXAMPLE]})
    assert (again.created, again.same_as.number) == (True, "1.0.0")
    script_texts.show_pushed(again)
    assert "does the same as 1.0.0, which is published" in capsys.readouterr().out
    assert client.scripts.push("orders", {"code": CODE + "#"}).same_as is None


def test_the_client_tries_compares_and_lists(client):
    client.scripts.push("orders", {"code": CODE})
    trial = client.scripts.try_("orders", "1.0.0", b'{"price":2,"quantity":3}\n{}\n')
    assert (trial.output, trial.counts["failed"]) == ([{"total": 6}], 1)
    assert trial.dead_letters[0]["error"]["type"] == "KeyError"
    client.scripts.push("orders", {"code": CODE + "#", "tier": "warm"}, number="1.1.0")
    found = client.scripts.diff("orders", "1.0.0", "1.1.0")
    assert found["changes"] == [{"name": "tier", "before": "isolated", "after": "warm"}]
    assert "+#" in found["code"]
    assert [script.name for script in client.scripts.list()] == ["clean", "orders"]
    assert [version.number for version in client.scripts.versions("orders")] == ["1.1.0", "1.0.0"]
    newest = client.scripts.newest("orders")
    assert newest is not None
    assert newest.number == "1.1.0"


def test_another_workspace_s_script_is_not_there(api, client):
    made = client.scripts.push("orders", {"code": CODE}).version
    with api.client(api.tenant("stranger")) as stranger:
        for attempt in (
            lambda: stranger.scripts.read("orders"),
            lambda: stranger.scripts.read(made.shown["script_id"]),
            lambda: stranger.scripts.read_version(made.shown["script_id"], made.id),
            lambda: stranger.scripts.read_version("clean", made.id),
            lambda: stranger.scripts.code(made.shown["script_id"], "1.0.0"),
            lambda: stranger.scripts.revoke(made.shown["script_id"], "1.0.0"),
        ):
            with pytest.raises(NotFound):
                attempt()


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ({"code": ""}, None),
        ({"code": CODE}, "one"),
        ({"code": CODE, "limits": {"wall_s": 100_000}}, None),
        ({"code": CODE, "profile": "js"}, None),
        ({"code": CODE, "input_schema": {"type": "x" * 70_000}}, None),
    ],
)
def test_a_push_that_is_refused_leaves_no_empty_script(client, content, number):
    with pytest.raises(RequestInvalid):
        client.scripts.push("refused", content, number=number)
    with pytest.raises(NotFound):
        client.scripts.read("refused")
