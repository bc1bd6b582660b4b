"""Whatever the OpenAPI document allows, and much that it does not: no answer is a 5xx, and each has the right shape."""

import itertools
import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests import serving
from tests.carrying import SHOP
from tests.serving import Api
from tools import reference

schema = schemathesis.openapi.from_dict(json.loads(reference.openapi()))
EXAMPLES = 4


@schemathesis.serializer("application/x-ndjson", "application/vnd.apache.parquet")
def as_it_is(_context, value):
    """Return what was generated as the bytes of a body."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def played_with(tmp_path_factory):
    """A server of its own: what is done to it at random, others need not see."""
    with serving.serve(tmp_path_factory.mktemp("anything")) as running:
        yield running


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_server(case, played_with: Api):
    tenant = played_with.tenant(f"t-{case.operation.label.lower().translate(_LETTERS)}"[:60].rstrip("-"))
    make_real(case, tenant, played_with)
    case.headers.pop("Prefer", None)  # nobody works here: it would only wait
    case.headers.pop("prefer", None)
    response = case.call(base_url=played_with.url, headers={"Authorization": f"Bearer {tenant.api_key}"}, timeout=20)
    case.validate_response(response, checks=(not_a_server_error, content_type_conformance, response_schema_conformance))
    if response.status_code >= 400:
        assert response.headers["content-type"][0].startswith("application/problem+json")


def make_real(case, tenant, api):
    """Put what is there in the place of what was made up, every other time: else little but 404 would be tried."""
    turn = next(_TURNS) % 2
    if turn and case.path_parameters:
        real = {"job_id": ended_job(tenant, api), "script": "clean", "version": "1.0.0", "member": tenant.member}
        if case.path_parameters.keys() & {"project", "pipeline", "run_id"}:
            real |= {"project": "shop", "pipeline": "sales", "task": "land", "run_id": ended_run(tenant, api)}
        case.path_parameters.update({name: real[name] for name in case.path_parameters if name in real})
    if turn and isinstance(case.body, dict) and "script" in case.body:
        case.body["script"] = "clean"
    if turn and case.query and "label" in case.query:
        case.query["label"] = ["a:b"]


def ended_job(tenant, api):
    """Return the id of a job of the tenant that has ended."""
    if tenant.workspace not in _JOBS:
        with api.http(tenant) as http:
            headers = {"Content-Type": "application/x-ndjson"}
            sent = http.post("/api/v1/jobs?script=clean", content=b'{"a":1}\n', headers=headers)
        _JOBS[tenant.workspace] = sent.json()["id"]
        api.work()
    return _JOBS[tenant.workspace]


def ended_run(tenant, api):
    """Return the id of a run of the tenant that was cancelled: nobody carries it out."""
    if tenant.workspace not in _RUNS:
        with api.http(tenant) as http:
            http.post("/api/v1/projects", json={"files": SHOP}).raise_for_status()
            run = http.post("/api/v1/pipelines/shop/sales/runs", json={}).json()["id"]
            http.post(f"/api/v1/runs/{run}/cancel").raise_for_status()
        _RUNS[tenant.workspace] = run
    return _RUNS[tenant.workspace]


_LETTERS = {ord(sign): "-" for sign in " /{}_."}
_TURNS = itertools.count()
_JOBS: dict[str, str] = {}
_RUNS: dict[str, str] = {}
