"""JSON Schemas of a project's YAML files, for editors: what `validate` checks, while one writes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from penstock.core.ports import ConnectionKind, PipelineKind
from penstock.project.models import PipelineModel, ProjectModel, TaskModel

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def project_schema(connection_kinds: Mapping[str, ConnectionKind]) -> Schema:
    """Return the schema of `penstock.yml`: each connection by its kind."""
    definitions: Schema = {}
    schema = _schema(ProjectModel, definitions, prefix="project")
    kinds = {name: _schema(kind.Spec, definitions, prefix=name) for name, kind in connection_kinds.items()}
    named: Schema = {"kind": {"enum": sorted(kinds), "description": "What is reached, and how."}}
    _set_values(schema["properties"]["connections"], _by_kind(named, ["kind"], kinds))
    return _finished(schema, definitions, "penstock.yml of a Penstock project")


def pipeline_schema(kinds: Mapping[str, PipelineKind], connection_kinds: Mapping[str, ConnectionKind]) -> Schema:
    """Return the schema of a file in `pipelines/`: each task by its kind."""
    definitions: Schema = {}
    schema = _schema(PipelineModel, definitions, prefix="pipeline")
    common = _schema(TaskModel, definitions, prefix="task")["properties"]
    common["kind"] = {"enum": sorted(kinds), "description": common["kind"]["description"]}
    specs = {name: _schema(kind.Spec, definitions, prefix=name) for name, kind in kinds.items()}
    for side, model in (("from", "From"), ("to", "To")):
        _say_connections(specs, connection_kinds, definitions, side=side, model=model)
    _set_values(schema["properties"]["tasks"], _by_kind(common, ["kind"], specs))
    return _finished(schema, definitions, "A pipeline of a Penstock project")


def _set_values(mapping: Schema, values: Schema) -> None:
    """Hold every value of a mapping to a schema, whatever pattern its name has."""
    for pattern in mapping.get("patternProperties", {}):
        mapping["patternProperties"][pattern] = values
    mapping["additionalProperties"] = False if mapping.get("patternProperties") else values


def _by_kind(common: Schema, required: list[str], kinds: Mapping[str, Schema]) -> Schema:
    """Return the schema of a mapping that says its kind, and then what this kind needs."""
    cases = []
    for name, spec in sorted(kinds.items()):
        properties = {**common, **spec.get("properties", {}), "kind": {"const": name}}
        case = {
            "description": spec.get("description", ""),
            "properties": properties,
            "required": [*required, *spec.get("required", [])],
            "additionalProperties": False,
        }
        cases.append({"if": {"properties": {"kind": {"const": name}}, "required": ["kind"]}, "then": case})
    return {"type": "object", "properties": common, "required": required, "allOf": cases}


def _say_connections(
    specs: Mapping[str, Schema], connection_kinds: Mapping[str, Any], definitions: Schema, *, side: str, model: str
) -> None:
    """Let what a task says of a connection be what one of the kinds of connections takes."""
    offered = [
        _schema(found, definitions, prefix=f"{name}.{side}")
        for name, kind in sorted(connection_kinds.items())
        if (found := getattr(kind, model, None)) is not None
    ]
    connection = {"connection": {"type": "string", "description": "One of penstock.yml."}}
    for spec in specs.values():
        place = spec.get("properties", {}).get(side, {})
        if place.get("type") != "object" or "properties" in place or not offered:
            continue
        for each in offered:
            each["properties"] = {**connection, **each.get("properties", {})}
            each["additionalProperties"] = False
        spec["properties"][side] = {"description": place.get("description", ""), "anyOf": offered}


def _schema(model: type[BaseModel], definitions: Schema, *, prefix: str) -> Schema:
    """Return a model's schema; the models in it go to the definitions, under names of their own."""
    schema = model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{prefix}.{{model}}", mode="validation")
    for name, inner in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = inner
    return schema


def _finished(schema: Schema, definitions: Schema, title: str) -> Schema:
    return {"$schema": _DIALECT, **schema, "title": title, "$defs": definitions}
