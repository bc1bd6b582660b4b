"""Another workspace's id answers 404, over the whole OpenAPI document; and every route fails in the same shape."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import pytest

from tests.carrying import SHOP, carry_out
from tests.serving import Api, Tenant
from tools import reference

DOCUMENT = json.loads(reference.openapi())
OPERATIONS = [
    (method.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
]
NAMED = [each for each in OPERATIONS if "{" in each[1]]
LISTS = [each for each in OPERATIONS if each[0] == "GET" and "{" not in each[1] and each[1].startswith("/api/")]
OPEN = {"log_in", "read_health", "read_live", "read_ready", "read_metrics"}  # what needs no key
# The least that each operation takes; one that is not here takes no body.
BODIES: dict[str, Any] = {
    "change_member": {"role": "viewer"},
    "create_version": {"code": "def process(data): return data"},
    "change_version": {"code": "def process(data): return data"},
    "ask_approval": {"reason": "it is needed"},
    "refuse": {"reason": "no"},
    "override": {"reason": "yes"},
    "approve": {},
    "put_secret": {"value": "x"},
    "try_version": [{"a": 1}],
    "plan_pipeline": {},
    "start_run": {},
    "start_backfill": {"date_from": "2026-01-01", "date_to": "2026-01-01"},
    "roll_table_back": {"to": "1"},
    "query_tables": {"sql": "SELECT 1"},
}
WRONG = {  # a pipeline whose runs fail
    "pipelines/wrong.yml": "tasks:\n  wrong: {kind: ingest, from: {connection: here, path: none.json}, to: raw.wrong}\n"
}
QUERIES = {"diff_versions": "?from=1.0.0&to=1.0.0"}
PROBLEM = {"type", "title", "status", "detail", "code", "hint", "retry", "request_id"}
OWN_NAMESPACE = {"put_secret"}  # a name that is not there yet is made, in the caller's own workspace


def label(each: tuple[str, str, dict[str, Any]]) -> str:
    return f"{each[0]} {each[1]}"


@pytest.fixture(scope="module")
def owner(api: Api) -> tuple[Tenant, dict[str, str]]:
    """A workspace with one of everything, and the ids of it."""
    tenant = api.tenant("owner")
    with api.http(tenant) as http:
        headers = {"Content-Type": "application/x-ndjson"}
        job = http.post("/api/v1/jobs?script=clean", content=b'{"a":1}\n', headers=headers).json()["id"]
        api.work()
        key = http.post("/api/v1/keys", json={"name": "other"}).json()
        http.put("/api/v1/secrets/OWNED", json={"value": "x"}).raise_for_status()
        path = f"/api/v1/scripts/{tenant.script}"
        draft = {"code": "def process(data): return data", "limits": {"wall_s": 600}}
        version = http.post(f"{path}/versions", json=draft).raise_for_status().json()
        approval = http.post(
            f"{path}/versions/{version['version']}/approval", json={"reason": "it is slow"}
        ).raise_for_status()
        project = http.post("/api/v1/projects", json={"files": {**SHOP, **WRONG}}).raise_for_status().json()
        pipeline = "/api/v1/pipelines/shop/sales"
        run = http.post(f"{pipeline}/runs", json={}).raise_for_status().json()["id"]
        dates = {"date_from": "2026-01-31", "date_to": "2026-01-31"}
        backfill = http.post(f"{pipeline}/backfills", json=dates).raise_for_status().json()["id"]
        http.post("/api/v1/pipelines/shop/wrong/runs", json={}).raise_for_status()
        carry_out(api, tenant)
        [incident] = http.get("/api/v1/incidents").json()["items"]
    ids = {
        "project": "shop",
        "pipeline": "sales",
        "revision": project["revision"],
        "run_id": run,
        "task": "land",
        "backfill_id": backfill,
        "incident_id": incident["id"],
        "table": "raw.orders",
        "job_id": job,
        "script": tenant.script,
        "version": tenant.version,
        "member": tenant.member,
        "key": key.get("id") or key["key"]["id"],
        "approval": approval.json()["id"],
        "name": "OWNED",
    }
    return tenant, ids


@pytest.mark.parametrize("operation", NAMED, ids=label)
def test_an_id_of_another_workspace_is_not_there(api: Api, owner, operation):
    method, path, described = operation
    name = described["operationId"]
    unknown = {part["name"] for part in described["parameters"] if part["in"] == "path"} - set(owner[1])
    assert not unknown, "a new kind of id needs a place in the fixture `owner`"
    url = path.format(**owner[1]) + QUERIES.get(name, "")
    with api.http(api.tenant("stranger")) as stranger, api.http(owner[0]) as mine:
        answer = send(stranger, method, url, name)
        if name in OWN_NAMESPACE:
            assert answer.status_code == 204
        else:
            assert problem_of(answer)["code"] == "not_found", answer.text
            assert answer.status_code == 404
        if method == "GET":  # and it is there for whom it belongs to, or the test would show nothing
            assert send(mine, method, url, name).status_code in (200, 204) or name == "read_job_dead_letters"


@pytest.mark.parametrize("operation", LISTS, ids=label)
def test_a_list_names_nothing_of_another_workspace(api: Api, owner, operation):
    with api.http(api.tenant("looker")) as looker:
        answer = looker.get(operation[1])
    foreign = [value for name, value in owner[1].items() if name != "name"]
    assert answer.status_code == 200 or "{" in operation[1]
    assert [value for value in [*foreign, owner[0].workspace] if value in answer.text] == []


def test_a_job_cannot_name_another_workspaces_script_or_bytes(api: Api, owner):
    tenant, ids = owner
    with api.http(api.tenant("borrower")) as http:
        for script in (ids["script"], ids["version"]):
            refused = http.post("/api/v1/jobs", json={"script": script, "input": [{}]})
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        api.server.blobs.put(f"{tenant.workspace}/incoming/mine", b"{}\n")
        for key in (f"{tenant.workspace}/incoming/mine", f"../{tenant.workspace}/incoming/mine"):
            refused = http.post("/api/v1/jobs", json={"script": "clean", "input": {"blob": key}})
            assert refused.status_code in (404, 422), key
        listed = http.get(f"/api/v1/jobs?cursor={ids['job_id']}&script={ids['script']}").json()
        assert listed["items"] == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=label)
def test_every_route_fails_in_the_same_shape(api: Api, operation):
    method, path, described = operation
    url = path.format(**{part["name"]: "x" for part in described.get("parameters", []) if part["in"] == "path"})
    with api.http() as nobody:
        if described["operationId"] not in OPEN:
            refused = send(nobody, method, url, described["operationId"])
            assert problem_of(refused)["code"] == "not_logged_in"
            assert refused.status_code == 401
        wrong = nobody.request("TRACE", url)
        assert problem_of(wrong)["code"] == "method_not_allowed"
        assert method in wrong.headers["allow"]


def test_no_route_is_open_that_is_not_meant_to_be():
    without = {described["operationId"] for _, _, described in OPERATIONS if not described.get("security")}
    assert without == OPEN


def send(http: httpx.Client, method: str, url: str, name: str) -> httpx.Response:
    """Send the least that an operation takes."""
    if name in BODIES:
        return http.request(method, url, json=BODIES[name])
    return http.request(method, url)


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """Hold a response to the shape that every error has."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body: dict[str, Any] = response.json()
    assert set(body) - {"problems"} == PROBLEM
    assert body["status"] == response.status_code
    assert body["type"] == f"urn:penstock:error:{body['code']}"
    assert body["request_id"] == response.headers["x-request-id"]
    assert all(isinstance(body[name], str) and body[name] for name in ("title", "detail", "hint"))
    assert all(set(problem) >= {"message"} for problem in itertools.chain(body.get("problems", [])))
    return body
