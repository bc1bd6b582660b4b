"""Inputs of every kind, and inputs made to do harm, through the API to a worker with the sandbox on."""

from __future__ import annotations

import gzip
import io
import tarfile

import brotli
import httpx
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.journeys.test_up import Up, up

__all__ = ["up"]  # the fixture: a server of this file's own

NUMBER = "def process(data):\n    return {'n': int(data['n'])}\n"  # in CSV it is a text
RECORDS = [{"n": number} for number in range(500)]
LINES = b"".join(orjson.dumps(record) + b"\n" for record in RECORDS)
CSV = b"n\n" + b"".join(b"%d\n" % record["n"] for record in RECORDS)
TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


@pytest.fixture(scope="module")
def http(up: Up):
    """A workspace with the script `number`."""
    with up.team("inputs") as team:
        team.scripts.push("number", {"code": NUMBER})
        team.scripts.publish("number", "1.0.0")
        team.scripts.activate("number", "1.0.0")
        headers = {"Authorization": team.transport._http.headers["authorization"], "Prefer": "wait=30"}
        with httpx.Client(base_url=up.url, headers=headers, timeout=60, trust_env=False) as client:
            yield client


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), buffer)
    return buffer.getvalue()


def run(http: httpx.Client, content: bytes, *, form: str = "ndjson", encoding: str | None = None):
    """Submit a body, and return the job as it ended."""
    headers = {"Content-Type": TYPES[form], **({"Content-Encoding": encoding} if encoding else {})}
    answer = http.post("/api/v1/jobs?script=number", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("content", "form", "encoding"),
    [
        (LINES, "ndjson", None),
        (gzip.compress(LINES), "ndjson", "gzip"),
        (zstandard.compress(LINES), "ndjson", "zstd"),
        (brotli.compress(LINES), "ndjson", "br"),
        (gzip.compress(CSV), "csv", "gzip"),
        (parquet(), "parquet", None),
        (brotli.compress(parquet()), "parquet", "br"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_same_records_come_out_however_they_were_sent(http, content, form, encoding):
    job = run(http, content, form=form, encoding=encoding)
    assert job["state"] == "succeeded", job["error"]
    result = http.get(f"/api/v1/jobs/{job['id']}/result").content
    found = [orjson.loads(line) for line in result.splitlines()]
    assert found == RECORDS


@pytest.mark.parametrize("name", ["orders.ndjson.gz", "orders.json", "orders.csv.zst", "orders.tar.gz"])
def test_a_form_file_is_read_as_its_name_says(http, name):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("inner.ndjson")
        member.size = len(LINES)
        tar.addfile(member, io.BytesIO(LINES))
    content = {
        "orders.ndjson.gz": gzip.compress(LINES),
        "orders.json": orjson.dumps(RECORDS),
        "orders.csv.zst": zstandard.compress(CSV),
        "orders.tar.gz": archive.getvalue(),
    }[name]
    answer = http.post("/api/v1/jobs", data={"script": "number"}, files={"file": (name, content)})
    job = answer.json()
    assert job["state"] == "succeeded", job["error"]
    assert job["progress"]["produced"] == len(RECORDS)


@pytest.mark.parametrize(
    ("content", "encoding", "code"),
    [
        (LINES, "gzip", "input_unreadable"),
        (gzip.compress(LINES), "br", "input_unreadable"),
        (gzip.compress(LINES)[:-20], "gzip", "input_unreadable"),
        (b"\xff\xfe" + LINES.decode().encode("utf-16-le"), None, "input_unreadable"),
        (gzip.compress(b"\0" * 200_000_000), "gzip", "input_unreadable"),
        (brotli.compress(b'{"n":"' + b"x" * 200_000_000, quality=1), "br", "too_many_errors"),
        (b'{"n":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n", None, "too_many_errors"),
        (b"not json\n" * 100, None, "too_many_errors"),
        (b'{"n": 1', None, "too_many_errors"),
    ],
    ids=["not gzip", "not brotli", "cut short", "utf-16", "bomb", "one record without end", "deep", "no json", "half"],
)
def test_what_is_not_what_it_says_fails_with_a_reason_and_harms_nobody(http, content, encoding, code):
    job = run(http, content, encoding=encoding)
    assert job["state"] == "failed"
    assert job["error"]["code"] == code
    assert http.get("/health").json()["state"] == "ok"
    assert run(http, LINES)["state"] == "succeeded"
