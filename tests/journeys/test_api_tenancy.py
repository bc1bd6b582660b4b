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
    "change_script": {"running_max": 1},
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
SHARED = {"project", "pipeline", "task", "table", "name"}  # names that any workspace may choose for itself
FOREIGN_PARTS = [
    (each, part["name"])
    for each in NAMED
    for part in each[2]["parameters"]
    if part["in"] == "path" and part["name"] not in SHARED
]
QUERY_IDS: dict[str, tuple[str, ...]] = {  # what a word of a query may name, as the fixture `owner` calls it
    "run": ("run_id",),
    "backfill": ("backfill_id",),
    "script": ("script", "version"),
    "version": ("version",),
    "from": ("version",),
    "to": ("version",),
    "member": ("member",),
    "subject": ("run_id", "job_id", "backfill_id"),
    "snapshot": ("snapshot",),
    "project": ("run_id",),  # whose form is no name's
    "pipeline": ("run_id",),
    "table": ("table",),
    "task": ("task",),
    "cursor": ("run_id", "job_id", "incident_id", "key", "member", "approval", "script"),
}
QUERY_WORDS = set(
    "state limit label action outcome since until start known after created_after created_before format priority"
    " not_before deadline attempts_max output_format errors_max chunk_records name webhook_url webhook_secret".split()
)
FOREIGN_QUERIES = [
    (each, part["name"])
    for each in OPERATIONS
    for part in each[2].get("parameters", [])
    if part["in"] == "query" and part["name"] in QUERY_IDS and each[0] == "GET"
]
FOREIGN_BODIES: dict[str, list[dict[str, Any]]] = {
    "start_run": [{"revision": "%(revision)s"}],
    "plan_pipeline": [{"revision": "%(revision)s"}],
    "query_tables": [
        {"sql": "SELECT * FROM raw.orders", "at": {"raw.orders": "%(snapshot)s"}},
        {"sql": "SELECT * FROM read_parquet('{prefix}/**')"},
    ],
    "roll_table_back": [{"to": "%(snapshot)s"}],
    "create_key": [{"name": "borrowed", "member": "%(member)s"}],
    "submit_job": [
        {"script": "%(script)s", "input": [{}]},
        {"script": "clean", "version": "%(version)s", "input": [{}]},
        {"script": "clean", "input": {"blob": "{prefix}/inputs/%(job_id)s"}},
    ],
}
BODY_WORDS = set(
    "reason name scopes expires_at token role again date date_from date_to parallel params select binary files note"
    " description first_version language running_max code examples input_schema output_schema limits profile tier"
    " version value rows_max egress quotas attempts_max chunk_records deadline errors_max format labels not_before"
    " output_format priority webhook".split()
)
PROBLEM = {"type", "title", "status", "detail", "code", "hint", "retry", "request_id"}
OWN_NAMESPACE = {"put_secret"}  # a name that is not there yet is made, in the caller's own workspace


def label(each: Any) -> str:
    return each if isinstance(each, str) else f"{each[0]} {each[1]}"


@pytest.fixture(scope="module")
def owner(api: Api) -> tuple[Tenant, dict[str, str]]:
    """A workspace with one of everything, and the ids of it."""
    return one_of_everything(api, "owner")


@pytest.fixture(scope="module")
def impostor(api: Api) -> tuple[Tenant, dict[str, str]]:
    """Another one that has chosen the same names, so that an id alone is what is foreign."""
    return one_of_everything(api, "impostor")


def one_of_everything(api: Api, name: str) -> tuple[Tenant, dict[str, str]]:
    """Make a workspace with one of everything, and return the ids of it."""
    tenant = api.tenant(name)
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
        files = {**SHOP, **WRONG, "README.md": name}  # or both had the same revision, which is a hash of the files
        project = http.post("/api/v1/projects", json={"files": files}).raise_for_status().json()
        pipeline = "/api/v1/pipelines/shop/sales"
        run = http.post(f"{pipeline}/runs", json={}, headers={"Idempotency-Key": "one"}).raise_for_status().json()["id"]
        dates = {"date_from": "2026-01-31", "date_to": "2026-01-31"}
        backfill = http.post(f"{pipeline}/backfills", json=dates).raise_for_status().json()["id"]
        http.post("/api/v1/pipelines/shop/wrong/runs", json={}).raise_for_status()
        carry_out(api, tenant)
        [incident] = http.get("/api/v1/incidents").json()["items"]
        table = http.get("/api/v1/tables/raw.orders").raise_for_status().json()
    ids = {
        "project": "shop",
        "pipeline": "sales",
        "revision": project["revision"],
        "run_id": run,
        "task": "land",
        "backfill_id": backfill,
        "incident_id": incident["id"],
        "table": "raw.orders",
        "snapshot": table["snapshot"],
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


@pytest.mark.parametrize(("operation", "part"), FOREIGN_PARTS, ids=label)
def test_a_foreign_id_is_not_there_among_names_that_one_has_oneself(api: Api, owner, impostor, operation, part):
    method, path, described = operation
    url = path.format(**{**impostor[1], part: owner[1][part]}) + QUERIES.get(described["operationId"], "")
    with api.http(impostor[0]) as http:
        answer = send(http, method, url, described["operationId"])
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "not_found"), answer.text
    assert foreign_in(answer.text, owner, but=owner[1][part]) == []


def test_every_word_of_a_query_is_known_to_name_something_or_not():
    words = {
        part["name"]
        for _, _, described in OPERATIONS
        for part in described.get("parameters", [])
        if part["in"] == "query"
    }
    assert words - set(QUERY_IDS) - QUERY_WORDS == set(), "does it name something that belongs to a workspace?"


@pytest.mark.parametrize(("operation", "word"), FOREIGN_QUERIES, ids=label)
def test_a_query_cannot_name_what_belongs_to_another_workspace(api: Api, owner, impostor, operation, word):
    _, path, described = operation
    given = {"from": "1.0.0", "to": "1.0.0"} if described["operationId"] == "diff_versions" else {}
    with api.http(impostor[0]) as http:
        for foreign in (owner[1][of] for of in QUERY_IDS[word]):
            answer = http.get(path.format(**impostor[1]), params={**given, word: foreign})
            assert answer.status_code in (200, 404, 422), answer.text
            if answer.status_code == 200:
                assert foreign_in(answer.text, owner) == []
            else:
                assert foreign_in(problem_of(answer)["detail"], owner, but=foreign) == []


def test_every_property_of_a_body_is_known_to_name_something_or_not():
    properties = {(name, word) for _, _, described in OPERATIONS for name, word in properties_of(described)}
    naming = {(name, word) for name, bodies in FOREIGN_BODIES.items() for body in bodies for word in body}
    unknown = {(name, word) for name, word in properties - naming if word not in BODY_WORDS}
    assert unknown == set(), "does it name something that belongs to a workspace?"


@pytest.mark.parametrize(
    ("name", "body"), [(name, body) for name, bodies in FOREIGN_BODIES.items() for body in bodies], ids=str
)
def test_a_body_cannot_name_what_belongs_to_another_workspace(api: Api, owner, impostor, name, body):
    method, path, _ = next(each for each in OPERATIONS if each[2]["operationId"] == name)
    filled = json.loads(json.dumps(body).replace("{prefix}", owner[0].workspace) % owner[1])
    with api.http(impostor[0]) as http:
        before = [http.get(f"/api/v1/{each}").json()["items"] for each in ("runs", "jobs", "keys")]
        answer = http.request(method, path.format(**impostor[1]), json={**BODIES.get(name, {}), **filled})
        after = [http.get(f"/api/v1/{each}").json()["items"] for each in ("runs", "jobs", "keys")]
    assert answer.status_code in (404, 409, 422), answer.text
    sent = json.dumps(filled)
    assert [each for each in foreign_in(problem_of(answer)["detail"], owner) if each not in sent] == []
    assert after == before


def test_an_idempotency_key_of_another_workspace_is_free(api: Api, owner, impostor):
    with api.http(impostor[0]) as http:
        headers = {"Idempotency-Key": "one"}
        again = http.post("/api/v1/pipelines/shop/sales/runs", json={}, headers=headers)
    assert (again.json()["id"], again.headers["Idempotent-Replayed"]) == (impostor[1]["run_id"], "true")
    assert impostor[1]["run_id"] != owner[1]["run_id"]


def test_a_project_cannot_run_a_registered_script_of_another_workspace(api: Api, owner):
    with api.http(api.tenant("borrower")) as http:
        for script in (f"{owner[1]['script']}@1.0.0", f"clean@{owner[1]['version']}"):
            task = f"tasks:\n  copy: {{kind: script, script: '{script}', from: raw.orders, to: staging.orders}}\n"
            files = {**SHOP, "pipelines/borrow.yml": task}
            deployed = http.post("/api/v1/projects", json={"files": files})
            planned = http.post("/api/v1/pipelines/shop/borrow/plan", json={})
            assert deployed.status_code == 422 or planned.status_code in (404, 422), (deployed.text, planned.text)


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


def foreign_in(text: str, owner: tuple[Tenant, dict[str, str]], *, but: str = "") -> list[str]:
    """Return the ids of a workspace that a text names; names that anybody may choose are none."""
    ids = [value for name, value in owner[1].items() if name not in SHARED and value != but]
    return [value for value in [*ids, owner[0].workspace] if value in text]


def properties_of(described: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what the JSON body of an operation may hold."""
    content = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    schemas = [content.get("schema", {})]
    found = []
    while schemas:
        schema = schemas.pop()
        if "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        schemas += schema.get("anyOf", []) + schema.get("allOf", [])
        found += [(described["operationId"], word) for word in schema.get("properties", {})]
    return found


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
