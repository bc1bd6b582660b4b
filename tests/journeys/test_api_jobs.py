"""Jobs over HTTP, from the request to the bytes of the result."""

from __future__ import annotations

import gzip
import hashlib
import time

import httpx
import orjson
import pytest

from penstock.base.times import iso
from penstock.core import limits
from penstock.core.errors import BlobsUnavailable, DatabaseUnavailable
from penstock.core.limits import Limit
from tests.serving import Api, Tenant

LINES = b'{"id":1}\n{"id":2}\n'
NDJSON = {"Content-Type": "application/x-ndjson"}
LATER = iso(time.time() + 86_400)


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return api.tenant()


@pytest.fixture
def http(api: Api, tenant: Tenant):
    with api.http(tenant) as client:
        yield client


def submit(http: httpx.Client, content: bytes = LINES, *, query: str = "", **headers: str) -> httpx.Response:
    return http.post(f"/api/v1/jobs?script=clean{query}", content=content, headers={**NDJSON, **headers})


def test_records_sent_as_a_body_come_back_as_the_result(api, http):
    sent = submit(http)
    assert sent.status_code == 202, sent.text
    job = sent.json()
    assert sent.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert job["state"] == "queued"
    assert job["script"]["version"] == "1.0.0"
    assert api.work() == 1
    done = http.get(sent.headers["location"]).json()
    assert done["state"] == "succeeded"
    assert done["progress"]["records"] == 2
    result = http.get(f"{sent.headers['location']}/result")
    assert result.content == LINES
    assert result.headers["etag"] == f'"{hashlib.sha256(LINES).hexdigest()}"'
    assert result.headers["content-length"] == str(len(LINES))
    assert result.headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize(
    ("records", "stored", "form"),
    [
        (b'[ {"id": 1.50},\n {"id":"\\u00e9"} ]', b'{"id": 1.50}\n{"id":"\\u00e9"}\n', "ndjson"),
        (b'{"big": 12345678901234567890123}', b'{"big": 12345678901234567890123}\n', "ndjson"),
        (b"[1, 2]", b"[1, 2]", "json"),
    ],
)
def test_the_values_of_inline_records_stay_the_bytes_they_were(api, http, records, stored, form):
    body = b'{"input": ' + records + b', "script": "clean", "labels": {"day": "1"}}'
    sent = http.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert sent.status_code == 202, sent.text
    assert sent.json()["input"]["sha256"] == hashlib.sha256(stored).hexdigest()
    assert sent.json()["input"]["format"] == form
    assert sent.json()["options"]["labels"] == {"day": "1"}
    assert api.work() == 1


def test_a_form_with_one_file_is_taken(api, http):
    form = {"script": "clean", "label": "day:2", "priority": "5"}
    sent = http.post("/api/v1/jobs", data=form, files={"file": ("orders.csv", b"a,b\n1,2\n", "text/csv")})
    assert sent.status_code == 202, sent.text
    job = sent.json()
    assert job["input"]["name"] == "orders.csv"
    assert job["input"]["sha256"] == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert job["options"]["labels"] == {"day": "2"}
    assert job["options"]["priority"] == 5
    assert api.work() == 1


def test_compressed_bodies_are_kept_as_they_came(api, http):
    packed = gzip.compress(LINES)
    sent = submit(http, packed, **{"Content-Encoding": "gzip"})
    assert sent.json()["input"]["encoding"] == "gzip"
    assert sent.json()["input"]["sha256"] == hashlib.sha256(packed).hexdigest()
    assert api.work() == 1


def test_a_chunked_body_larger_than_memory_blocks_is_stored_whole(api, http, tenant):
    block = b"x" * 99_999 + b"\n"
    sent = http.post(
        "/api/v1/jobs?script=clean", content=(block for _ in range(30)), headers={**NDJSON, "X-Request-Id": "mine"}
    )
    assert sent.status_code == 202, sent.text
    assert sent.headers["x-request-id"] == "mine"
    assert sent.json()["input"]["size_bytes"] == 3_000_000
    assert sent.json()["input"]["sha256"] == hashlib.sha256(block * 30).hexdigest()
    assert any(key.startswith(f"{tenant.workspace}/uploads/") for key in api.blobs())


def test_an_object_of_the_workspace_is_pointed_to(api, http, tenant):
    api.server.blobs.put(f"{tenant.workspace}/incoming/orders.ndjson", LINES)
    body = {"script": "clean", "input": {"blob": "incoming/orders.ndjson"}}
    sent = http.post("/api/v1/jobs", json=body)
    assert sent.status_code == 202, sent.text
    assert sent.json()["input"]["sha256"] == hashlib.sha256(LINES).hexdigest()
    assert sent.json()["input"]["name"] == "orders.ndjson"
    missing = http.post("/api/v1/jobs", json={"script": "clean", "input": {"blob": "incoming/none"}})
    assert missing.status_code == 404


@pytest.mark.parametrize("key", ["../other/jobs/x", "/etc/passwd", "a/../../b", "", ".hidden", "a\x00b"])
def test_a_pointer_cannot_leave_the_workspace(api, http, key):
    api.server.blobs.put("other/jobs/x", b"secret")
    refused = http.post("/api/v1/jobs", json={"script": "clean", "input": {"blob": key}})
    assert refused.status_code in (404, 422), refused.text


def test_the_same_key_and_body_make_the_same_job_and_leave_one_input(api, http):
    body = LINES * 2_000  # too large to be a row
    before = set(api.blobs())
    first, again = (submit(http, body, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len(set(api.blobs()) - before) == 1
    other = submit(http, LINES, **{"Idempotency-Key": "k1"})
    assert other.status_code == 409
    assert other.json()["code"] == "conflict"
    other_options = submit(http, body, query="&priority=3", **{"Idempotency-Key": "k1"})
    assert other_options.status_code == 409
    assert len(set(api.blobs()) - before) == 1
    api.work()


def test_a_job_whose_answer_got_lost_keeps_its_input(api, http, monkeypatch):
    submit_really = type(api.server.jobs).submit

    def lost(self, request, **given):
        submit_really(self, request, **given)
        raise DatabaseUnavailable("the connection broke after the commit", hint="h")

    body, key = LINES * 2_000, {"Idempotency-Key": "lost-1"}
    with monkeypatch.context() as patch:
        patch.setattr(type(api.server.jobs), "submit", lost)
        assert submit(http, body, **key).status_code == 503
    again = submit(http, body, **key)
    assert again.headers["idempotent-replayed"] == "true"
    api.work()
    assert http.get(f"{again.headers['location']}/result").content == body


def test_who_prefers_to_wait_gets_the_end(api, http):
    worker = api.work_soon()
    answered = submit(http, Prefer="respond-async, wait=10")
    worker.join()
    assert answered.status_code == 200
    assert answered.headers["preference-applied"] == "wait=10"
    assert answered.json()["state"] == "succeeded"


def test_who_waits_for_what_does_not_end_gets_it_as_it_stands(api, http):
    began = time.monotonic()
    answered = submit(http, Prefer="wait=1")
    assert answered.status_code == 202
    assert answered.json()["state"] == "queued"
    assert 0.9 < time.monotonic() - began < 20
    api.work()


def test_events_tell_of_a_job_until_its_end(api, http):
    job = submit(http).json()["id"]
    events = []
    with http.stream("GET", f"/api/v1/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                events.append(orjson.loads(line[6:]))
                if len(events) == 1:
                    api.work()
            elif line.startswith("id: "):
                last = line[4:]
    assert events[0]["state"] == "queued"
    assert events[-1]["state"] == "succeeded"
    seen = http.get(f"/api/v1/jobs/{job}/events", headers={"Last-Event-ID": last})
    assert seen.status_code == 204


def test_a_result_is_not_there_before_its_end_and_says_so(api, http):
    job = submit(http).json()["id"]
    early = http.get(f"/api/v1/jobs/{job}/result")
    assert early.status_code == 409
    assert "queued" in early.json()["detail"]
    api.work()
    assert http.get(f"/api/v1/jobs/{job}/dead-letters").status_code == 404


def test_a_part_of_a_result_can_be_fetched_and_what_is_known_is_not_sent_again(api, http):
    job = submit(http).json()["id"]
    api.work()
    path = f"/api/v1/jobs/{job}/result"
    part = http.get(path, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, LINES[2:6])
    assert part.headers["content-range"] == f"bytes 2-5/{len(LINES)}"
    assert http.get(path, headers={"Range": "bytes=-3"}).content == LINES[-3:]
    assert http.get(path, headers={"Range": "bytes=5-2"}).content == LINES  # no range at all
    for past in (f"bytes={len(LINES)}-", "bytes=9999-", "bytes=-0"):
        refused = http.get(path, headers={"Range": past})
        assert (refused.status_code, refused.json()["code"]) == (416, "range_not_there")
        assert refused.headers["content-range"] == f"bytes */{len(LINES)}"
    asked, whole = http.head(path), http.get(path)
    assert (asked.status_code, asked.content, asked.headers["etag"]) == (200, b"", whole.headers["etag"])
    assert asked.headers["content-length"] == str(len(LINES))
    assert http.get(path, headers={"If-None-Match": part.headers["etag"]}).status_code == 304


def test_jobs_are_listed_by_state_label_script_and_time_page_after_page(api):
    tenant = api.tenant("lister")
    with api.http(tenant) as http:
        made = [submit(http, query=f"&label=n:{number % 2}").json() for number in range(5)]
        page = http.get("/api/v1/jobs?limit=2").json()
        assert [job["id"] for job in page["items"]] == [made[4]["id"], made[3]["id"]]
        rest = http.get(f"/api/v1/jobs?cursor={page['next']}").json()
        assert [job["id"] for job in rest["items"]] == [made[2]["id"], made[1]["id"], made[0]["id"]]
        assert rest["next"] is None
        odd = http.get("/api/v1/jobs?label=n:1&script=clean&state=queued").json()["items"]
        assert [job["id"] for job in odd] == [made[3]["id"], made[1]["id"]]
        after = made[3]["created_at"]
        assert len(http.get("/api/v1/jobs", params={"created_after": after}).json()["items"]) >= 2
        assert len(http.get("/api/v1/jobs", params={"created_before": "2020-01-01T00:00:00Z"}).json()["items"]) == 0
        api.work()


def test_a_job_can_be_cancelled_and_run_again(api, http):
    job = submit(http).json()["id"]
    cancelled = http.post(f"/api/v1/jobs/{job}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    assert http.post(f"/api/v1/jobs/{job}/cancel").status_code == 409
    again = http.post(f"/api/v1/jobs/{job}/retry")
    assert again.status_code == 202
    assert again.json()["replay_of"] == job
    key = {"Idempotency-Key": "retry-1"}
    first, second = (http.post(f"/api/v1/jobs/{job}/retry", headers=key).json()["id"] for _ in range(2))
    assert first == second != again.json()["id"]
    api.work()


def test_a_stream_of_events_ends_after_its_time_and_goes_on_where_it_was(api, http, monkeypatch):
    monkeypatch.setattr(limits, "EVENT_STREAM", Limit("event_stream", 1, "s", ""))
    job = submit(http, query="&not_before=" + LATER).json()["id"]
    first = http.get(f"/api/v1/jobs/{job}/events").text
    assert first.count("event: state") == 1
    last = first.partition("id: ")[2].partition("\n")[0]
    assert http.get(f"/api/v1/jobs/{job}/events", headers={"Last-Event-ID": last}).text == ""
    http.post(f"/api/v1/jobs/{job}/cancel")


@pytest.mark.parametrize("how", ["revoked", "removed"])
def test_a_stream_of_events_ends_when_its_key_does(api, tenant, http, how):
    job = submit(http, query="&not_before=" + LATER).json()["id"]
    with api.http(key=api.key_of(tenant, "viewer")) as viewer:
        me = viewer.get("/api/v1/me").json()
        with viewer.stream("GET", f"/api/v1/jobs/{job}/events") as listening:
            told = listening.iter_bytes()
            assert b"event: state" in next(told)
            path = f"/api/v1/keys/{me['key']}" if how == "revoked" else f"/api/v1/members/{me['member']}"
            assert http.delete(path).status_code < 300
            ended_s = time.monotonic()
            assert list(told) == []
        assert time.monotonic() - ended_s < 30
        assert viewer.get(f"/api/v1/jobs/{job}").status_code == 401


def test_one_workspace_leaves_event_streams_to_the_others(api, http, monkeypatch):
    monkeypatch.setattr(limits, "WATCHERS_WORKSPACE", Limit("watchers_workspace", 1, "event streams", ""))
    job = submit(http, query="&not_before=" + LATER).json()["id"]
    with http.stream("GET", f"/api/v1/jobs/{job}/events") as held:
        lines = held.iter_lines()  # kept, or the stream would be closed
        assert next(lines)
        refused = http.get(f"/api/v1/jobs/{job}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
        with api.http(api.tenant("other-watcher")) as other:
            theirs = submit(other, query="&not_before=" + LATER).json()["id"]
            with other.stream("GET", f"/api/v1/jobs/{theirs}/events") as let_in:
                assert let_in.status_code == 200
            other.post(f"/api/v1/jobs/{theirs}/cancel")
    http.post(f"/api/v1/jobs/{job}/cancel")


def test_who_waits_beyond_what_one_workspace_may_is_answered_at_once(http, monkeypatch):
    monkeypatch.setattr(limits, "WAITERS_WORKSPACE", Limit("waiters_workspace", 0, "requests", ""))
    began = time.monotonic()
    answered = submit(http, query="&not_before=" + LATER, Prefer="wait=20")
    assert (answered.status_code, answered.headers.get("preference-applied")) == (202, None)
    assert time.monotonic() - began < 18
    http.post(f"/api/v1/jobs/{answered.json()['id']}/cancel")


def test_a_full_server_still_answers_its_probes(http, monkeypatch):
    monkeypatch.setattr(limits, "REQUESTS_RUNNING", Limit("requests_running", 0, "requests", ""))
    assert http.get("/api/v1/me").status_code == 503
    assert http.get("/health/live").status_code == 200


def test_a_result_that_cannot_be_read_to_its_end_breaks_off(api, http, monkeypatch):
    job = submit(http).json()["id"]
    api.work()

    def broken(_self, _key, **_more):
        yield LINES[:5]
        raise BlobsUnavailable("the store went away", hint="h")

    monkeypatch.setattr(type(api.server.blobs), "stream", broken)
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(f"/api/v1/jobs/{job}/result")


def test_a_result_whose_bytes_are_gone_is_told_before_anything_is_sent(api, http, monkeypatch):
    job = submit(http, LINES * 2_000).json()["id"]
    api.work()
    api.server.blobs.delete([key for key in api.blobs() if key.endswith(f"{job}/result")])
    gone = http.get(f"/api/v1/jobs/{job}/result")
    assert (gone.status_code, gone.json()["code"]) == (410, "blob_not_found")


def test_a_waiting_job_says_why(api, http):
    job = submit(http).json()["id"]
    assert http.get(f"/api/v1/jobs/{job}").json()["waiting"]["code"] in ("its_turn", "no_worker")
    later = submit(http, query="&not_before=" + LATER).json()["id"]
    assert http.get(f"/api/v1/jobs/{later}").json()["waiting"]["code"] == "not_before"
    http.post(f"/api/v1/jobs/{later}/cancel")
    api.work()
