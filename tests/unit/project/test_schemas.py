"""JSON Schemas for editors say what `validate` says."""

import json

import jsonschema_rs
import pytest

from penstock.project.init_template import new_project
from penstock.project.yaml_trees import read_yaml
from penstock.wiring.folder import schemas

FILES = {"penstock.json": "penstock.yml", "pipeline.json": "pipelines/sales.yml"}


@pytest.fixture(scope="module")
def checkers():
    return {name: jsonschema_rs.validator_for(json.dumps(schema)) for name, schema in schemas().items()}


def value(name: str):
    return read_yaml(name, new_project("shop")[name]).value


@pytest.mark.parametrize(("schema", "file"), FILES.items())
def test_a_new_project_is_valid(checkers, schema, file):
    assert [error.message for error in checkers[schema].iter_errors(value(file))] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "sqll"}, "is not one of"),
        ({"file": 5}, "is not valid"),
        ({"too": "marts.x"}, "unexpected"),
        ({"retries": 99}, "greater than the maximum of 20"),
    ],
)
def test_what_a_task_of_a_kind_does_not_take_is_an_error(checkers, change, words):
    pipeline = value("pipelines/sales.yml")
    pipeline["tasks"]["daily"] |= change
    messages = [error.message for error in checkers["pipeline.json"].iter_errors(pipeline)]
    assert any(words in message for message in messages), messages


def test_what_is_read_through_a_connection_is_what_one_of_the_kinds_takes(checkers):
    pipeline = value("pipelines/sales.yml")
    pipeline["tasks"]["land"]["from"] = {"connection": "incoming", "pathh": "x"}
    assert not checkers["pipeline.json"].is_valid(pipeline)
