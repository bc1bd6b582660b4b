"""The REST connector against a real server: every kind of page, every way in, and a server that misbehaves."""

import contextlib
import dataclasses
import ssl
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from penstock.access.egress import HttpEgress
from penstock.connectors import connectors, exchange, gates
from penstock.core import limits
from penstock.core.access import Policy
from penstock.core.errors import (
    ConnectionResting,
    DestinationUnavailable,
    EgressRefused,
    SourceRefused,
    TaskFailed,
    TooMany,
)
from penstock.sandbox.raw import open_raw
from penstock.sandbox.strict import StrictSandbox
from tests.databases import certificate
from tests.pipelines import pipeline_context
from tests.sources import Source, serve

REST = connectors()["rest"]


@pytest.fixture(scope="module")
def strict():
    with contextlib.closing(StrictSandbox()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def bench(tmp_path_factory, strict):
    """Return a bench whose attempts may reach loopback, and nothing else that is not public."""
    egress, policy = HttpEgress(), Policy(egress=("127.0.0.1",))
    with pipeline_context(
        tmp_path_factory.mktemp("rest"),
        connection_kinds=connectors(),
        strict=strict,
        raw=lambda: open_raw(strict, parallel=2),
        resolve=lambda _workspace, url: egress.check(url, policy=policy),
    ) as bench:
        yield bench


@pytest.fixture
def source():
    with serve(Source(records=[{"id": number, "at": f"2024-01-0{number}"} for number in range(1, 8)])) as source:
        yield source


@pytest.fixture
def fetch(bench, source):
    """Return a function that fetches by a connection of its own, with fast waits, and returns records and context."""
    gates._gates.clear()

    def fetch(said, *, ctx=None, **settings):
        checked = REST.Spec.model_validate({"url": source.url, "timeout": 0.5, **settings})
        ctx = ctx or bench.ctx()
        gate = gates.Gate("api", gates.own_settings(checked), gates.Clock(chance=lambda: 0.01))
        gates._gates[(ctx.occurrence.workspace, ctx.occurrence.project, "api")] = gates.own_settings(checked), gate
        landed = list(REST.fetch("api", checked, REST.From.model_validate(said), ctx))
        return [orjson.loads(line)["id"] for one in landed for line in one.path.read_bytes().splitlines()]

    return fetch


SEVEN = [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("said", "requests"),
    [
        ({"path": "all"}, 1),
        ({"path": "page", "records_at": "orders", "pages": {"kind": "page", "size": 3}}, 3),
        ({"path": "/offset", "records_at": "orders", "pages": {"kind": "offset", "size": 3}}, 3),
        (
            {
                "path": "cursor",
                "records_at": "orders",
                "pages": {"kind": "cursor", "param": "after", "next_at": "paging.next"},
            },
            3,
        ),
        ({"path": "link", "pages": {"kind": "link"}}, 3),
        ({"path": "url", "records_at": "orders", "pages": {"kind": "url", "next_at": "next"}}, 3),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else value["path"],
)
def test_every_kind_of_pages_gives_every_record_once_in_order(fetch, source, said, requests):
    assert fetch(said) == SEVEN
    assert requests <= len(source.asked) <= requests + 4  # some were asked for ahead


def test_pages_without_a_size_end_where_one_is_empty_and_compressed_ones_are_undone(fetch, source):
    source.zipped = True
    assert fetch({"path": "page", "records_at": "orders", "pages": {"kind": "page"}}) == SEVEN


def test_a_source_that_repeats_its_last_page_for_ever_is_left(fetch, source):
    assert fetch({"path": "last_for_ever", "records_at": "orders", "pages": {"kind": "page"}}) == SEVEN


@pytest.mark.parametrize("fault", ["429", "500", "503", "hangs", "truncated", "not_json"])
def test_what_goes_wrong_for_a_while_is_tried_again(fetch, source, fault):
    source.faults = {1: fault, 3: fault}
    assert fetch({"path": "page", "records_at": "orders", "pages": {"kind": "page", "size": 3}}) == SEVEN


@pytest.mark.parametrize("pages", [{"kind": "page", "size": 3}, {"kind": "none"}])
def test_a_page_for_people_in_place_of_records_is_the_sources_error_and_is_named(fetch, source, pages):
    source.faults = dict.fromkeys(range(1, 100), "not_json")
    said = {"path": "page", "records_at": "orders", "pages": pages}
    with pytest.raises(SourceRefused, match=r"'api', 'page': it answered 200 \(text/html\): .*not JSON") as refused:
        fetch(said, tries=2)
    assert "url" in refused.value.hint
    assert len(source.asked) == 2  # it was tried again, and no more


def test_too_many_failures_in_a_row_end_the_try_and_then_nobody_calls(fetch, source):
    source.faults = dict.fromkeys(range(1, 100), "500")
    with pytest.raises(DestinationUnavailable, match="'api', 'all': it answered 500"):
        fetch({"path": "all"}, tries=2, rests_after=5)
    assert len(source.asked) == 2
    with pytest.raises(ConnectionResting, match="failed 2 times in a row") as resting:
        fetch({"path": "all"}, tries=5, rests_after=2)
    assert resting.value.retry_after_s is not None


def test_what_asks_for_more_time_than_a_task_waits_ends_the_try(fetch, source, monkeypatch):
    source.faults = dict.fromkeys(range(1, 100), "429")
    with pytest.raises(TooMany):
        fetch({"path": "all"}, tries=3)
    assert source.counts["429"] == 3


@pytest.mark.parametrize(
    ("path", "auth"),
    [
        ("bearer", {"kind": "bearer", "token": "token-1"}),
        ("basic", {"kind": "basic", "user": "me", "password": "s3cr3t"}),
        ("header", {"kind": "header", "name": "X-Key", "value": "s3cr3t"}),
        ("query", {"kind": "query", "name": "key", "value": "s3cr3t"}),
    ],
)
def test_every_way_in_works_and_its_secret_is_in_no_error(fetch, path, auth):
    assert fetch({"path": path}, auth=auth) == SEVEN
    wrong = {name: "s3cr3t-wrong" if value in ("token-1", "s3cr3t") else value for name, value in auth.items()}
    with pytest.raises(SourceRefused, match="it answered 401") as refused:
        fetch({"path": path}, auth=wrong)
    assert "s3cr3t" not in refused.value.message + refused.value.hint


def test_a_token_is_fetched_once_and_again_when_it_is_not_accepted_any_more(fetch, source):
    auth = {
        "kind": "oauth2",
        "token_url": f"{source.url}/token",
        "client_id": "me",
        "client_secret": "s3cr3t",
    }
    assert fetch({"path": "bearer"}, auth=auth) == SEVEN
    assert fetch({"path": "bearer"}, auth=auth) == SEVEN
    assert source.tokens == 1
    source.token = "another"
    paged = {
        "path": "paged_bearer",
        "records_at": "orders",
        "pages": {"kind": "page", "size": 1},
        "params": {"limit": 1},
    }
    assert fetch(paged, auth=auth) == SEVEN  # one token for all that were refused at the same time
    assert source.tokens == 2


def test_only_what_is_new_is_asked_for_and_what_stands_at_the_edge_comes_once(bench, fetch, source):
    cursor = {"field": "at", "param": "since", "start": "2024-01-02"}
    said = {"path": "all", "cursor": cursor}
    first = bench.ctx("land")
    assert fetch(said, ctx=first) == SEVEN[1:]
    first.publish()
    source.records += [{"id": 8, "at": "2024-01-07"}, {"id": 9, "at": "2024-01-08"}]
    second = bench.ctx("land")
    assert fetch(said, ctx=second) == [8, 9]
    assert source.asked[-1] == "/all?since=2024-01-07"
    assert fetch(said, ctx=bench.ctx("land")) == [8, 9]  # nothing was published, so nothing was remembered
    second.publish()
    assert fetch(said, ctx=bench.ctx("land")) == []
    assert fetch({**said, "cursor": {**cursor, "lookback": "1d"}}, ctx=bench.ctx("land")) == [7, 8]
    assert source.asked[-1] == "/all?since=2024-01-07"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"path": "nothing"}, "'nothing': it answered 404"),
        ({"path": "moved"}, "leads elsewhere"),
        ({"path": "elsewhere", "pages": {"kind": "link"}}, "at another host"),
        ({"path": "page"}, None),
        ({"path": "page", "records_at": "items"}, "there is no 'items'"),
    ],
)
def test_what_a_source_will_not_do_is_said_without_its_words(fetch, said, words):
    if words is None:  # one object is one record
        with pytest.raises(KeyError):
            fetch(said)
        return
    with pytest.raises(SourceRefused, match=words):
        fetch(said)


def test_a_source_without_end_is_left(fetch, source, monkeypatch):
    pages = {"kind": "cursor", "param": "after", "next_at": "paging.next"}
    with pytest.raises(SourceRefused, match="one that was read already"):
        fetch({"path": "loop", "records_at": "orders", "pages": pages})
    monkeypatch.setattr(exchange, "_BYTES_MAX", 100)
    with pytest.raises(SourceRefused, match="'all': the answer has more than"):
        fetch({"path": "all"})
    monkeypatch.undo()
    monkeypatch.setattr(limits, "SOURCE_PAGES", dataclasses.replace(limits.SOURCE_PAGES, value=2))
    with pytest.raises(TaskFailed, match="more than 2 pages"):
        fetch({"path": "page", "records_at": "orders", "pages": {"kind": "page", "size": 3}})


def test_a_cookie_that_a_source_sets_comes_with_the_next_request(fetch):
    assert fetch({"path": "session", "records_at": "orders", "pages": {"kind": "url", "next_at": "next"}}) == SEVEN


def test_params_arrive_as_they_are_and_take_the_place_of_those_in_the_path(fetch, source):
    odd = {"q": "a b+c&d=é/?:@%41", "list[]": "1,2;3"}
    assert fetch({"path": "all", "params": odd}) == SEVEN
    assert fetch({"path": "all?limit=3&q=x", "params": odd}) == SEVEN
    plain, merged = (parse_qs(urlsplit(target).query) for target in source.asked)
    assert plain == {name: [value] for name, value in odd.items()}
    assert merged == {"limit": ["3"], **plain}


def test_nothing_is_reached_that_may_not_be(fetch):
    with pytest.raises(EgressRefused):
        fetch({"path": "x"}, url="http://169.254.169.254/latest")


def test_the_address_that_was_checked_is_connected_to_and_the_certificate_must_be_the_names(
    bench, fetch, source, tmp_path, monkeypatch
):
    path = tmp_path / "localhost.pem"
    path.write_bytes(b"".join(certificate()))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    trusting = ssl.create_default_context(cafile=path)
    monkeypatch.setattr(exchange, "_tls", lambda: trusting)
    asked = []

    def resolve(_workspace, url):
        asked.append(urlsplit(url).hostname)
        return HttpEgress(lambda *_: ["127.0.0.1"]).check(url, policy=Policy(egress=("127.0.0.1/32",)))

    with serve(Source(records=[{"id": 1}, {"id": 2}]), tls=tls) as secure:
        url = secure.url.replace("http://127.0.0.1", "https://localhost")
        ctx = bench.ctx()
        ctx.parts = dataclasses.replace(ctx.parts, resolve=resolve)
        assert fetch({"path": "page", "pages": {"kind": "page"}, "records_at": "orders"}, ctx=ctx, url=url) == [1, 2]
        assert asked == ["localhost"]  # once, for all of its pages
        (ctx.staging / "pages.ndjson").unlink()
        (ctx.staging / "pages-rejected.ndjson").unlink()
        with pytest.raises(DestinationUnavailable, match="refuses connections"):
            fetch({"path": "all"}, ctx=ctx, url=url.replace("localhost", "other.test"), tries=1)


def test_calls_are_no_more_at_once_and_no_faster_than_allowed(fetch, source):
    source.delay_s = 0.02
    pages = {"kind": "page", "size": 1}
    fetch({"path": "page", "params": {"limit": 1}, "records_at": "orders", "pages": pages}, at_once=2)
    assert source.at_once_max == 2


def test_rows_are_sent_in_batches_each_with_a_key_that_stays_the_same(bench, fetch, source, tmp_path):
    file = tmp_path / "rows.ndjson"
    file.write_bytes(b'{"id":1}\n{"id":2}\n{"id":3}\n')
    source.faults = {2: "500"}
    settings = REST.Spec.model_validate({"url": source.url})
    to = REST.To.model_validate({"path": "in", "batch": 2})
    assert REST.send("sink", settings, to, file, bench.ctx()) == {"sent": 3, "requests": 2}
    assert [orjson.loads(body) for body, _ in source.posted] == [[{"id": 1}, {"id": 2}], [{"id": 3}], [{"id": 3}]]
    keys = [headers["Idempotency-Key"] for _, headers in source.posted]
    assert keys[0] != keys[1] == keys[2]
