"""The requests that come most go past the framework, and nobody can tell by the answer."""

from __future__ import annotations

import time

import httpx
import orjson
import pytest

from tests.serving import Api, Tenant

ROUND = {"request_id", "id", "created_at", "sha256", "location", "x-request-id", "date"}
PLAIN = {"Content-Type": "application/json"}
TWICE = ("Accept", "text/plain")  # a header that stands there twice goes the framework's way


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return api.tenant()


@pytest.fixture
def ways(api: Api, tenant: Tenant, monkeypatch):
    """Return a function that sends a request both ways, and returns both answers and whether they took their ways."""
    taken: list[str] = []
    from penstock.api.quick import Quick

    for name in ("_submit", "_read"):
        real = getattr(Quick, name)

        async def noted(self, scope, receive, send, real=real):
            taken.append(scope["method"])
            await real(self, scope, receive, send)

        monkeypatch.setattr(Quick, name, noted)

    def send(method: str, path: str, *, key: str | None = None, headers: dict[str, str] | None = None, content=b""):
        shown = {"Authorization": f"Bearer {key or tenant.api_key}", **(headers or {})}
        with httpx.Client(base_url=api.url, trust_env=False, timeout=30) as http:
            quick = http.request(method, path, headers=shown, content=content)
            assert taken == [method]
            slow = http.request(method, path, headers=[*shown.items(), TWICE, TWICE], content=content)
            assert taken == [method] if method == "POST" else len(taken) == 2
        return quick, slow

    return send


def plain(answer: httpx.Response) -> tuple[int, dict[str, object], dict[str, str]]:
    """Return what an answer says, without what differs from request to request."""

    def bare(value):
        if isinstance(value, dict):
            return {name: None if name in ROUND else bare(item) for name, item in value.items()}
        return value

    headers = {name: value for name, value in answer.headers.items() if name not in (ROUND | {"content-length"})}
    return answer.status_code, bare(answer.json()), headers


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({}, b'{"script": "clean", "input": [{"a": 1}], "labels": {"a": "b"}, "priority": 3}'),
        ({"Idempotency-Key": "quick-1"}, b'{"script": "clean", "input": [{"a": 1}]}'),
        ({"Prefer": "wait=0"}, b'{"script": "clean", "input": [{"a": 1}]}'),
        ({}, b'{"script": "clean", "input": [{"a": 1}], "surprise": 1}'),
        ({}, b'{"script": "clean", "input": 5}'),
        ({}, b'{"script": "unknown", "input": []}'),
        ({}, b'{"script": "clean", "input": {"blob": "incoming/none.ndjson"}}'),
        ({}, b'{"script": "clean", "input": [], "webhook": {"url": "https://127.0.0.1/", "secret": "NONE"}}'),
        ({}, b""),
    ],
)
def test_a_submit_is_answered_as_the_framework_answers_it(ways, headers, content):
    quick, slow = ways("POST", "/api/v1/jobs", headers=PLAIN | headers, content=content)
    if "Idempotency-Key" in headers:
        assert slow.headers["idempotent-replayed"] == "true"
        assert quick.json()["id"] == slow.json()["id"]
        return
    assert plain(quick) == plain(slow)


def test_a_key_that_is_none_is_refused_the_same_way(ways):
    quick, slow = ways("POST", "/api/v1/jobs", key="pk_1_nothing", headers=PLAIN, content=b"{}")
    assert quick.status_code == 401
    assert plain(quick) == plain(slow)


def test_how_a_job_stands_is_told_the_same_way(api, tenant, ways):
    with api.http(tenant) as http:
        job = http.post("/api/v1/jobs", content=b'{"script": "clean", "input": [{"a": 1}]}', headers=PLAIN).json()["id"]
        waiting = http.get(f"/api/v1/jobs/{job}").json()
        again = orjson.loads(http.get(f"/api/v1/jobs/{job}?", headers=PLAIN).content)
    assert waiting["waiting"]["code"] in ("its_turn", "no_worker")
    assert waiting == again
    api.work()
    with api.http(tenant) as http:
        assert http.get(f"/api/v1/jobs/{job}").json()["state"] == "succeeded"
        assert http.get("/api/v1/jobs/job_none").json()["code"] == "not_found"
        figures = http.get("/metrics").text
    for method, route, status in (("GET", "/api/v1/jobs/{job_id}", 404), ("POST", "/api/v1/jobs", 202)):
        assert f'penstock_http_requests_total{{method="{method}",route="{route}",status="{status}"}}' in figures


def test_a_key_that_was_just_used_ends_at_once_here_and_within_a_second_elsewhere(api, tenant):
    admin = api.server.keys.authenticate(tenant.api_key, origin="test")
    for elsewhere in (False, True):
        key, text = api.server.keys.create("soon-gone", actor=admin)
        with api.http(key=text) as http:
            assert http.get("/api/v1/jobs/job_none").status_code == 404
            if elsewhere:  # as another process does it
                api.server.database.write(
                    lambda tx, key=key: api.server.keys.records.revoke(tx, workspace=admin.workspace, key=key.id)
                )
                time.sleep(1.01)
            else:
                api.server.keys.revoke(key.id, actor=admin)
            assert http.get("/api/v1/jobs/job_none").status_code == 401


def test_a_role_that_was_changed_counts_with_the_next_request(api, tenant):
    admin = api.server.keys.authenticate(tenant.api_key, origin="test")
    member, token = api.server.members.add("demoted", role="editor", actor=admin)
    text = api.server.workspaces.login(token, origin="test").api_key
    body = b'{"script": "clean", "input": [{"a": 1}]}'
    with api.http(key=text) as http:
        assert http.post("/api/v1/jobs", content=body, headers=PLAIN).status_code == 202
        api.server.members.change_role(member.id, role="viewer", actor=admin)
        assert http.post("/api/v1/jobs", content=body, headers=PLAIN).status_code == 403
