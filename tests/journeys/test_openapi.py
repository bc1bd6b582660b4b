"""The OpenAPI document is what the server does, and what programs rely on stays."""

import copy
import json
from pathlib import Path

import pytest

from tests.serving import Api
from tests.tidy.tree import ROOT
from tools import reference, surface


@pytest.fixture(scope="module")
def document():
    return json.loads(reference.openapi())


def test_the_document_in_the_repository_is_what_the_code_says():
    """Run `make docs` to write it again."""
    assert (Path(reference.DOCS) / reference.OPENAPI).read_text("utf-8") == reference.openapi()


def test_the_server_gives_the_same_document(api: Api, document):
    with api.http() as http:
        assert http.get("/api/v1/openapi.json").json() == document


def test_nothing_breaks_what_programs_rely_on(document):
    """When a break is meant, run `python -m tools.surface`, and say it in the changelog."""
    released = set((ROOT / surface.RELEASED).read_text("utf-8").splitlines())
    assert surface.breaks(released, surface.surface(document)) == []


def test_what_the_events_of_a_run_hold_is_described_as_every_answer_is(document):
    schemas = document["components"]["schemas"]
    told = document["paths"]["/api/v1/runs/{run_id}/events"]["get"]["responses"]["200"]["description"]
    assert [name for name in ("RunShown", "RunChange") if name in told and name in schemas] == ["RunShown", "RunChange"]
    assert schemas["RunChange"]["properties"]["tasks"]["items"] == {"$ref": "#/components/schemas/RunTaskShown"}


def test_every_operation_says_what_it_does_and_how_it_fails(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["description"], f"{method} {path}"
            problem = operation["responses"]["default"]["content"]
            assert list(problem) == ["application/problem+json"], f"{method} {path}"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (["paths", "/api/v1/jobs/{job_id}"], "gone: GET /api/v1/jobs/{job_id}"),
        (["paths", "/api/v1/jobs", "get"], "gone: GET /api/v1/jobs"),
        (["paths", "/api/v1/jobs/{job_id}", "get", "responses", "200"], "answers 200 application/json state"),
        (["components", "schemas", "JobShown", "properties", "state"], "answers 200 application/json state"),
    ],
)
def test_a_break_is_seen(document, place, words):
    broken = copy.deepcopy(document)
    parent = broken
    for name in place[:-1]:
        parent = parent[name]
    del parent[place[-1]]
    assert words in str(surface.breaks(surface.surface(document), surface.surface(broken)))


def test_what_is_asked_for_all_at_once_is_a_break(document):
    broken = copy.deepcopy(document)
    broken["paths"]["/api/v1/jobs"]["get"]["parameters"][0]["required"] = True
    assert "now required" in str(surface.breaks(surface.surface(document), surface.surface(broken)))


@pytest.mark.parametrize("is_asked", [True, False])
def test_what_a_new_field_needs_inside_is_a_break_only_when_the_field_is_asked_for(document, is_asked):
    wider = copy.deepcopy(document)
    ask = wider["components"]["schemas"]["RoleAsk"]
    inner = {"type": "object", "properties": {"why": {"type": "string"}}, "required": ["why"]}
    ask["properties"]["more"] = inner
    ask["required"] = [*ask["required"], *(["more"] if is_asked else [])]
    found = surface.breaks(surface.surface(document), surface.surface(wider))
    assert bool(found) is is_asked


def test_more_is_no_break(document):
    wider = copy.deepcopy(document)
    wider["paths"]["/api/v1/more"] = wider["paths"]["/api/v1/jobs"]
    wider["components"]["schemas"]["JobShown"]["properties"]["more"] = {"type": "string"}
    assert surface.breaks(surface.surface(document), surface.surface(wider)) == []
