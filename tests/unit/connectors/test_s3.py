"""Objects in a real S3 server."""

import contextlib
import random
from typing import Any

import httpx
import orjson
import pytest

from penstock.access.egress import HttpEgress
from penstock.connectors import connectors
from penstock.core.access import Policy
from penstock.core.errors import DestinationUnavailable, EgressRefused, InputNotFound, SourceRefused
from penstock.sandbox.strict import StrictSandbox
from tests.pipelines import pipeline_context

S3: Any = connectors()["s3"]  # it lists files besides


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    egress, policy = HttpEgress(), Policy(egress=("127.0.0.1",))
    with (
        contextlib.closing(StrictSandbox()) as strict,
        pipeline_context(
            tmp_path_factory.mktemp("s3"),
            connection_kinds=connectors(),
            strict=strict,
            resolve=lambda _workspace, url: egress.check(url, policy=policy),
        ) as bench,
    ):
        yield bench


@pytest.fixture
def settings(s3, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-machine")
    said = {"bucket": s3.fresh_bucket(), "endpoint": s3.endpoint, "prefix": "in", "key_id": "a", "secret_key": "b"}
    return S3.Spec.model_validate({**said, "tries": 1})


def test_objects_are_written_and_read_once_by_patterns(bench, settings, tmp_path):
    for number in (1, 2):
        file = tmp_path / "x.ndjson"
        file.write_bytes(orjson.dumps({"id": number}) + b"\n")
        S3.send("lake", settings, S3.To(path=f"orders/2024/{number}.ndjson"), file, bench.ctx())
    S3.send("lake", settings, S3.To(path="orders/readme.txt", format="ndjson"), file, bench.ctx())
    assert S3.list_files("lake", settings, "orders/**/*.ndjson", bench.ctx()) == [
        "orders/2024/1.ndjson",
        "orders/2024/2.ndjson",
    ]
    wanted = S3.From(path="orders/**/*.ndjson")
    ctx = bench.ctx("land")
    landed = list(S3.fetch("lake", settings, wanted, ctx))
    assert [one.source for one in landed] == ["orders/2024/1.ndjson", "orders/2024/2.ndjson"]
    assert [orjson.loads(one.path.read_bytes())["id"] for one in landed] == [1, 2]
    ctx.cursors.take([(one.source, one.mark) for one in landed])
    ctx.publish()
    file.write_bytes(b'{"id": 3}\n')
    S3.send("lake", settings, S3.To(path="orders/2024/2.ndjson"), file, bench.ctx())
    assert [one.source for one in S3.fetch("lake", settings, wanted, bench.ctx("land"))] == ["orders/2024/2.ndjson"]


def test_a_large_object_comes_back_as_it_went(bench, settings, tmp_path):
    file = tmp_path / "x.ndjson"
    file.write_bytes(random.Random(1).randbytes(20 * 2**20))
    S3.send("lake", settings, S3.To(path="large/x.ndjson"), file, bench.ctx())
    (landed,) = S3.fetch("lake", settings, S3.From(path="large/*"), bench.ctx())
    assert landed.path.read_bytes() == file.read_bytes()


def test_a_bucket_may_be_read_as_anybody(bench, settings, tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(b"a\n1\n")
    S3.send("lake", settings, S3.To(path="x.csv"), file, bench.ctx())
    for place in ("", "/in/x.csv"):
        address = f"{settings.endpoint}/{settings.bucket}{place}?acl"
        httpx.put(
            address, headers={"x-amz-acl": "public-read", "Authorization": "AWS a:b"}, timeout=10
        ).raise_for_status()
    public = settings.model_copy(update={"key_id": None, "secret_key": None})
    assert len(list(S3.fetch("lake", public, S3.From(path="x.csv"), bench.ctx()))) == 1


def test_what_is_not_there_or_not_to_be_reached_is_said_without_secrets(bench, settings):
    with pytest.raises(InputNotFound):
        list(S3.fetch("lake", settings, S3.From(path="nothing/*.csv"), bench.ctx()))
    gone = settings.model_copy(update={"bucket": "not-there"})
    with pytest.raises(SourceRefused, match="not there") as refused:
        list(S3.fetch("lake", gone, S3.From(path="*.csv"), bench.ctx()))
    assert "of-the-machine" not in refused.value.message
    elsewhere = settings.model_copy(update={"endpoint": "http://169.254.169.254"})
    with pytest.raises(EgressRefused):
        list(S3.fetch("lake", elsewhere, S3.From(path="*.csv"), bench.ctx()))
    nobody = settings.model_copy(update={"endpoint": "http://127.0.0.1:1"})
    with pytest.raises(DestinationUnavailable):
        list(S3.fetch("lake2", nobody, S3.From(path="*.csv"), bench.ctx()))
