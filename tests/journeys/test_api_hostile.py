"""What comes from people who are careless, and from those who are not: each gets an answer, and harms nobody else."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from pathlib import Path

import orjson
import pytest

from penstock.core import limits
from penstock.core.access import Quotas
from penstock.core.limits import Limit
from tests.processes import wait_for
from tests.serving import Api, Tenant

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
PROBLEM = {"type", "title", "status", "detail", "code", "hint", "retry", "request_id"}


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return api.tenant()


@pytest.fixture
def http(api: Api, tenant: Tenant):
    with api.http(tenant) as client:
        yield client


def problem_of(response, *, status: int, code: str):
    """Hold a response to the shape that every error has."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) - {"problems"} == PROBLEM
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["detail"]
    assert body["hint"]
    return body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"{", "name is missing"),
        (b'{"script": "clean"}', "input is missing"),
        (b'{"script": "clean", "input": 5}', "neither a list"),
        (b'{"script": "clean", "input": "text"}', "neither a list"),
        (b'{"script": "clean", "input": [1, 2}', "brackets do not fit"),
        (b'{"script": "clean", "input": [1, 2', "ends too early"),
        (b'{"script": "clean", "input": ["abc]}', "does not end"),
        (b'{"script": "clean", "input": ["a\nb"]}', "control character"),
        (b'{"script": "clean", "input": [], "input": []}', "twice"),
        (b'{"script": "clean", "\\u0069nput": [], "input": []}', "twice"),
        (b'{"script": "clean", "input": []} {}', "not valid JSON"),
        (b'{"script": "clean", "script": "other", "input": []}', "'script' twice"),
        (b'{"script": "clean", "input": [], "labels": {"a": "1", "a": "2"}}', "'a' twice"),
        ('{"script": "clean", "input": []}'.encode("utf-16"), "must be UTF-8"),
        ('{"script": "clean", "input": []}'.encode("utf-16-le"), "must be UTF-8"),
        (b'{"script": "clean" "input": []}', "comma is missing"),
        (b'{"script": tru, "input": []}', "not valid JSON"),
        (b'{"script": "\xff\xfe", "input": []}', "not valid JSON"),
        (b'\xef\xbb\xbf{"script": "clean", "input": []}', "not a JSON object"),
        (b'{"script": "clean", "input": [], "priority": "high"}', "body.priority"),
        (b'{"script": "clean", "input": [], "priority": 1e400}', "not valid JSON"),
        (b'{"script": "clean", "input": [], "priority": 101}', "body.priority"),
        (b'{"script": "clean", "input": [], "surprise": 1}', "body.surprise"),
        (b'{"script": "cl\\u0000ean", "input": []}', "body.script"),
        (b'{"script": "clean", "input": [], "labels": {"a": "\\u0000"}}', "body.labels"),
        (b'{"script": "clean", "input": [], "not_before": "tomorrow"}', "body.not_before"),
        (b'{"script": "clean", "input": [], "not_before": "2026-01-01T00:00:00"}', "body.not_before"),
        (b'{"script": "clean", "input": [], "not_before": "9999-12-31T23:59:59-14:00"}', "options.not_before"),
        (b'{"script": "clean", "input": [], "not_before": "0001-01-01T00:00:00+14:00"}', "options.not_before"),
        (b'{"script": "clean", "input": [], "deadline": "9999-01-01T00:00:00Z"}', "366 days"),
        (b'{"script": "clean", "input": [], "errors_max": "lots"}', "lots"),
        (b'{"script": "clean", "input": [], "format": "csv"}', "body.format"),
    ],
)
def test_a_malformed_envelope_is_refused_with_its_place(http, body, words):
    refused = http.post("/api/v1/jobs", content=body, headers=JSON)
    assert words in str(problem_of(refused, status=422, code=refused.json()["code"]))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b"[[{" + b'"b":['])
def test_a_bomb_of_nested_json_is_refused_at_once(http, opening):
    bomb = b'{"script": "clean", "input": [' + opening * (900_000 // len(opening)) + b"]}"
    began = time.monotonic()
    refused = http.post("/api/v1/jobs", content=bomb, headers=JSON)
    assert "deeper" in problem_of(refused, status=422, code="request_invalid")["detail"]
    assert time.monotonic() - began < 30


def test_as_many_brackets_as_fit_are_split_in_time(api, http):
    body = b'{"script": "clean", "input": [' + b",".join([b"[]"] * 340_000) + b"]}"
    began = time.monotonic()
    assert http.post("/api/v1/jobs", content=body, headers=JSON).status_code == 202
    assert time.monotonic() - began < 30
    api.work()


def test_inline_records_past_their_limit_are_refused_by_its_name(http):
    body = b'{"script": "clean", "input": ["' + b"x" * 2**20 + b'"]}'
    refused = http.post("/api/v1/jobs", content=body, headers=JSON)
    assert "`envelope`" in problem_of(refused, status=413, code="too_large")["detail"]


def test_a_zip_bomb_is_stored_as_it_came(api, http):
    bomb = gzip.compress(b"\0" * 50_000_000)
    sent = http.post("/api/v1/jobs?script=clean", content=bomb, headers={**NDJSON, "Content-Encoding": "gzip"})
    assert sent.json()["input"]["size_bytes"] == len(bomb)
    api.work()


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_past_the_quota_is_refused_by_its_name_and_leaves_nothing(api, announced):
    tenant = api.tenant(f"small-{announced}".lower())
    api.server.workspaces.change_locally(f"small-{announced}".lower(), quotas={"request_bytes_max": 100_000})
    time.sleep(1.1)  # quotas may be a second old
    before = api.blobs()
    blocks = [b"x" * 50_000] * 60
    with api.http(tenant) as http:
        content = b"".join(blocks) if announced else (block for block in blocks)
        refused = http.post("/api/v1/jobs?script=clean", content=content, headers=NDJSON)
    detail = problem_of(refused, status=413, code="too_large")["detail"]
    assert "request_bytes_max" in detail
    assert api.blobs() == before


def test_an_upload_that_breaks_off_leaves_nothing(api, tenant):
    before, files = api.blobs(), large_files(api)
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head(tenant.api_key, 10_000_000) + b"x" * 5_000_000)
        time.sleep(0.3)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and running(api) > 0:
        time.sleep(0.02)
    assert running(api) == 0
    assert api.blobs() == before
    assert large_files(api) == files


def test_who_leaves_in_the_middle_of_a_body_is_noted_as_gone(api, tenant):
    host, port = api.url.removeprefix("http://").split(":")
    before = requests(api, "/api/v1/keys")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head(tenant.api_key, 100, path="/api/v1/keys", content_type="application/json") + b'{"name"')
    wait_for(lambda: requests(api, "/api/v1/keys") != before)
    assert requests(api, "/api/v1/keys") == {**before, "499": before.get("499", 0) + 1}


@pytest.mark.parametrize("drip", [b"", b"x"])
def test_a_slow_body_is_given_up(api, tenant, monkeypatch, drip):
    monkeypatch.setattr(limits, "BODY_IDLE", Limit("body_idle", 1, "s", ""))
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head(tenant.api_key, 10_000))
        began, answer = time.monotonic(), b""
        connection.settimeout(0.1)
        while b"\r\n\r\n" not in answer and time.monotonic() - began < 30:
            try:
                if drip:
                    connection.sendall(drip)
                answer += connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert b"body_timeout" in answer or b"content-length" in answer
    assert time.monotonic() - began < 30
    assert not [key for key in api.blobs() if key.endswith("/uploads/")]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json"])
def test_what_comes_with_a_key_that_is_ended_meanwhile_is_not_accepted(api, tenant, http, content_type):
    key, before = api.key_of(tenant, "editor"), (http.get("/api/v1/jobs").json()["items"], api.blobs())
    with api.http(key=key) as editor:
        key_id = editor.get("/api/v1/me").json()["key"]
    body = (
        b'{"script": "clean", "input": [{"id": 1}]}' if content_type == "application/json" else b'{"id": 1}\n' * 40_000
    )
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head(key, len(body), content_type=content_type) + body[:-5])
        wait_for(lambda: running(api) == 1)
        assert http.delete(f"/api/v1/keys/{key_id}").status_code == 200
        connection.sendall(body[-5:])
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 401"), answer
    assert (http.get("/api/v1/jobs").json()["items"], api.blobs()) == before


def test_an_address_sends_few_bodies_at_once_before_it_shows_who_it_is(api, tenant, http, monkeypatch):
    monkeypatch.setattr(limits, "BODIES_ANONYMOUS", Limit("bodies_anonymous", 2, "requests", ""))
    host, port = api.url.removeprefix("http://").split(":")
    words = b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    login = b"POST /api/v1/login HTTP/1.1\r\n" + words
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            connection.sendall(login + b"{")
        wait_for(lambda: running(api) == 2)
        refused = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
        refused.sendall(login + b"{")
        assert refused.recv(65536).startswith(b"HTTP/1.1 429")
        body = {"script": "clean", "input": [{"id": 1}]}
        assert http.post("/api/v1/jobs", json=body).status_code == 202, "it shows its key first"
    wait_for(lambda: running(api) == 0)
    with api.http() as nobody:
        problem_of(nobody.post("/api/v1/login", json={"token": "x" * 40}), status=401, code="not_logged_in")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/xml"},
        {"Content-Type": ""},
        {**NDJSON, "Content-Encoding": "compress"},
        {**NDJSON, "Content-Encoding": "gzip, br"},
        {**JSON, "Content-Encoding": "gzip"},
    ],
)
def test_a_body_of_another_kind_is_refused_with_what_would_be_taken(http, headers):
    refused = http.post("/api/v1/jobs?script=clean", content=b"{}", headers=headers)
    problem_of(refused, status=415, code="media_type_unsupported")


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("", "query.script"),
        ("script=clean&priority=x", "query.priority"),
        ("script=clean&label=x", "query.label"),
        ("script=clean&label=a:1&label=a:2", "query.label"),
        ("script=clean&script=other", "query.script"),
        ("script=clean&unknown=1", "query.unknown"),
        ("script=clean&webhook_url=http://x", "query.webhook.secret"),
        ("script=cl%00ean", "query.script"),
        ("script=clean&format=csv", "query.format"),
        ("script=clean&labels=1", "query.labels"),
        ("script=clean&attempts_max=999999999999999999999", "query.attempts_max"),
    ],
)
def test_a_wrong_option_in_the_query_is_named(api, http, query, place):
    before = api.blobs()
    refused = http.post(f"/api/v1/jobs?{query}", content=b"{}\n" * 10_000, headers=NDJSON)
    problems = problem_of(refused, status=422, code="request_invalid")["problems"]
    assert place in [problem["place"] for problem in problems]
    assert api.blobs() == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="script"\r\n\r\nclean\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n{}\n',
        b"no boundary at all",
        b"--b\r\nX" + b"x" * 100_000 + b": 1\r\n\r\n",
        b"".join(
            b'--b\r\nContent-Disposition: form-data; name="f%d"; filename="a"\r\n\r\n{}\n\r\n' % number
            for number in range(2)
        )
        + b"--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="script"\r\n\r\n' + b"x" * 100_000 + b"\r\n--b--\r\n",
    ],
)
def test_a_malformed_form_is_refused_and_leaves_nothing(api, http, body):
    before = api.blobs()
    refused = http.post("/api/v1/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    problem_of(refused, status=422, code="request_invalid")
    assert api.blobs() == before


def test_a_form_whose_options_are_wrong_leaves_nothing(api, http):
    before = api.blobs()
    refused = http.post("/api/v1/jobs", data={"priority": "x"}, files={"file": ("a.ndjson", b"{}\n" * 50_000)})
    problem_of(refused, status=422, code="request_invalid")
    assert api.blobs() == before


def test_a_job_for_a_script_that_is_not_there_leaves_nothing(api, http):
    before = api.blobs()
    refused = http.post("/api/v1/jobs?script=none", content=b"{}\n" * 50_000, headers=NDJSON)
    problem_of(refused, status=404, code="not_found")
    assert api.blobs() == before


@pytest.mark.parametrize("key", [None, "pk_nothing_like_it", "pk_\u00e9", "x" * 10_000])
def test_nobody_gets_in_without_a_key(api, key):
    with api.http() as http:
        headers = {} if key is None else {"Authorization": f"Bearer {key}".encode()}
        refused = http.get("/api/v1/jobs", headers=headers)
    problem_of(refused, status=401, code="not_logged_in")
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_what_a_role_may_not_is_refused_before_the_body_is_taken_and_is_audited(api, tenant):
    viewer = api.key_of(tenant, "viewer")
    with api.http(key=viewer) as http:
        refused = http.post("/api/v1/jobs?script=clean", content=b"{}\n" * 2_000_000, headers=NDJSON)
    problem_of(refused, status=403, code="not_allowed")
    with api.http(tenant) as http:
        events = http.get("/api/v1/audit").json()["items"]
    assert any(event["outcome"] == "refused" and event["action"] == "request.refuse" for event in events)


def test_more_requests_a_second_than_the_quota_are_told_when_to_come_back(api):
    tenant = api.tenant("eager")
    api.server.workspaces.change_locally("eager", quotas={"requests_per_s": 2})
    time.sleep(1.1)
    with api.http(tenant) as http:
        answers = [http.get("/api/v1/jobs?limit=1") for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    problem_of(refused[0], status=429, code="too_many")
    assert int(refused[0].headers["retry-after"]) >= 1
    assert Quotas().requests_per_s > 2


@pytest.mark.parametrize(("quota", "most_s"), [("queued_jobs_max", 3_600), ("cpu_s_per_day_max", 86_400)])
def test_a_quota_that_is_used_up_is_told_by_its_name_and_when_to_come_back(api, quota, most_s):
    name = quota.replace("_", "-")
    tenant, before = api.tenant(name), api.blobs()
    api.server.workspaces.change_locally(name, quotas={quota: 0})
    with api.http(tenant) as http:
        small = http.post("/api/v1/jobs", json={"script": "clean", "input": [{"a": 1}]})
        upload = http.post("/api/v1/jobs?script=clean", content=b'{"a":1}\n', headers=NDJSON)
        assert http.get("/api/v1/jobs").json()["items"] == []
    for refused in (small, upload):
        assert quota in problem_of(refused, status=429, code="too_many")["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= most_s
    assert api.blobs() == before


def test_a_workspace_that_stores_all_it_may_takes_no_job(api):
    tenant = api.tenant("stores-much")
    api.server.workspaces.change_locally("stores-much", quotas={"stored_bytes_max": 5})
    with api.http(tenant) as http:
        refused = http.post("/api/v1/jobs?script=clean", content=b'{"a":1}\n', headers=NDJSON)
    assert "stored_bytes_max" in problem_of(refused, status=413, code="too_large")["detail"]
    assert "retry-after" not in refused.headers


def test_a_job_past_the_quota_of_running_ones_is_taken_and_waits(api):
    tenant = api.tenant("runs-nothing")
    api.server.workspaces.change_locally("runs-nothing", quotas={"running_jobs_max": 0})
    with api.http(tenant) as http:
        taken = http.post("/api/v1/jobs", json={"script": "clean", "input": [{"a": 1}]})
        assert taken.status_code == 202
        path = f"/api/v1/jobs/{taken.json()['id']}"
        api.work()
        assert http.get(path).json()["state"] == "queued"
        api.server.workspaces.change_locally("runs-nothing", quotas={"running_jobs_max": 1})
        api.work()
        assert http.get(path).json()["state"] == "succeeded"


def test_a_refusal_of_a_small_request_keeps_the_connection(api):
    with api.http() as http:
        for _ in range(3):
            refused = http.post("/api/v1/jobs", json={"script": "clean", "input": [{"a": 1}]})
            assert refused.status_code == 401
            assert "connection" not in refused.headers


def test_unknown_paths_and_methods_have_the_shape_too(api, http):
    problem_of(http.get("/api/v1/nothing"), status=404, code="not_found")
    refused = http.delete("/api/v1/jobs")
    problem_of(refused, status=405, code="method_not_allowed")
    assert "GET" in refused.headers["allow"]


def test_a_bug_becomes_an_answer_without_details(api, http, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a row's value")

    monkeypatch.setattr(type(api.server.jobs), "read", broken)
    answer = http.get("/api/v1/jobs/job_1")
    assert "a row's value" not in answer.text
    problem_of(answer, status=500, code="bug")


def test_logs_hold_neither_bodies_nor_queries_nor_keys(api, tenant, http, log, capfd):
    http.post("/api/v1/jobs?script=clean&label=who:SECRET-1", content=b'{"name":"SECRET-2"}\n', headers=NDJSON)
    http.post("/api/v1/jobs", json={"script": "SECRET-3", "input": [{"name": "SECRET-4"}]})
    wait_for(lambda: log.getvalue().count(b"request.finished") == 2)
    told = log.getvalue().decode() + "".join(capfd.readouterr())
    assert "SECRET" not in told
    assert tenant.api_key not in told
    api.work()


def head(key: str, size_bytes: int, *, path: str = "/api/v1/jobs", content_type: str = "application/x-ndjson") -> bytes:
    """Return the head of an upload, as bytes on the wire."""
    query = "" if content_type == "application/json" else "?script=clean"
    return (
        f"POST {path}{query} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {content_type}\r\nAuthorization: Bearer {key}\r\nContent-Length: {size_bytes}\r\n\r\n"
    ).encode()


def large_files(api: Api) -> set[Path]:
    """Return what takes room in the folder of blobs, drafts too."""
    found = (api.home / "blobs").rglob("*")
    return {path for path in found if path.is_file() and path.stat().st_size > 100_000}


def running(api: Api) -> int:
    """Return how many requests are being answered."""
    return int(api.app.state.registry.get_sample_value("penstock_http_requests_running") or 0)


def requests(api: Api, route: str) -> dict[str, float]:
    """Return how many requests to a route have ended with which status."""
    found = (sample for family in api.app.state.registry.collect() for sample in family.samples)
    return {
        sample.labels["status"]: sample.value
        for sample in found
        if sample.name == "penstock_http_requests_total" and sample.labels["route"] == route
    }


def test_health_and_figures_need_no_key_and_name_no_data(api):
    api.tenant()
    with api.http() as http:
        assert http.get("/health/live").json() == {"state": "ok"}
        health = http.get("/health").json()
        assert health["state"] == "degraded"
        assert "workers" in health["checks"]
        assert http.get("/health/ready").status_code == 200
        figures = http.get("/metrics").text
    assert 'penstock_http_requests_total{method="GET",route="/health",status="200"}' in figures
    assert "penstock_queue_depth" in figures
    assert orjson.dumps(health)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_a_probe_may_ask_for_the_head_alone(api, path):
    with api.http() as http:
        answer = http.head(path)
        assert (answer.status_code, answer.content) == (http.get(path).status_code, b"")
