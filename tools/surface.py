"""What programs rely on in the HTTP API, a line each; docs/reference/api-surface.txt has those of the last release.

`python -m tools.surface` writes them again. Do so when a version is released, or when a break is meant: the lines that
go are then seen in the diff, and belong into the changelog.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools import reference

RELEASED = Path(__file__).parents[1] / "docs" / "reference" / "api-surface.txt"
_REQUIRED = " (required)"
_DEPTH_MAX = 6


def surface(document: Mapping[str, Any]) -> set[str]:
    """Return the lines of a document: operations, what they take, what they answer."""
    lines: set[str] = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            name = f"{method.upper()} {path}"
            lines.add(name)
            lines.update(f"{name} {line}" for line in _taken(operation, document))
            lines.update(f"{name} {line}" for line in _answered(operation, document))
    return lines


def breaks(before: set[str], after: set[str]) -> list[str]:
    """Return what would break a program that relies on `before`, in words."""
    known = {line.removesuffix(_REQUIRED) for line in after}
    gone = [f"gone: {line}" for line in before if line.removesuffix(_REQUIRED) not in known]
    operations = {" ".join(line.split(" ")[:2]) for line in before}
    asked = [
        f"now required: {line}"
        for line in after - before
        if line.endswith(_REQUIRED)
        and " ".join(line.split(" ")[:2]) in operations
        and not _is_inside_new(line, before, after)
    ]
    return sorted(gone + asked)


def _is_inside_new(line: str, before: set[str], after: set[str]) -> bool:
    """Return whether a field lies inside one that is new and may be left out: nobody is asked for it who was not."""
    *head, field = line.split(" ", 4)
    parts = field.partition(":")[0].split(".")
    for count in range(1, len(parts)):
        outer = f"{' '.join(head)} {'.'.join(parts[:count]).removesuffix('[]')}: "
        if not any(one.startswith(outer) for one in before):
            return not any(one.startswith(outer) and one.endswith(_REQUIRED) for one in after)
    return False


def _taken(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", []):
        required = _REQUIRED if parameter.get("required") else ""
        kind = _kind(parameter["schema"], document)
        yield f"takes {parameter['in']} {parameter['name']}: {kind}{required}"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        for line in _fields(content.get("schema", {}), document, marked=True):
            yield f"takes {media_type} {line}"


def _answered(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    for status, response in operation["responses"].items():
        if status == "default":  # a problem, everywhere: its shape has a test of its own
            continue
        yield f"answers {status}"
        for media_type, content in response.get("content", {}).items():
            for line in _fields(content.get("schema", {}), document, marked=False):
                yield f"answers {status} {media_type} {line}"


def _fields(
    schema: Mapping[str, Any], document: Mapping[str, Any], *, marked: bool, path: str = "", depth: int = 0
) -> Iterator[str]:
    """Yield the fields of a schema, those inside it too; a list's are `name[].field`."""
    schema = _resolved(schema, document)
    if path or not schema.get("properties"):
        yield f"{path or 'body'}: {_kind(schema, document)}"
    if depth >= _DEPTH_MAX:
        return
    for part in [schema, *schema.get("anyOf", [])]:
        inner = _resolved(part, document)
        required = set(inner.get("required", []))
        for name, value in inner.get("properties", {}).items():
            place = f"{path}.{name}" if path else name
            yield from _fields(value, document, marked=marked, path=place, depth=depth + 1)
            if marked and name in required:
                yield f"{place}: {_kind(value, document)}{_REQUIRED}"
        if "items" in inner:
            yield from _fields(inner["items"], document, marked=marked, path=f"{path}[]", depth=depth + 1)


def _kind(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    schema = _resolved(schema, document)
    if "anyOf" in schema:
        return "|".join(sorted({_kind(part, document) for part in schema["anyOf"]}))
    return str(schema.get("type", "any"))


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


if __name__ == "__main__":
    RELEASED.write_text("\n".join(sorted(surface(json.loads(reference.openapi())))) + "\n", "utf-8")
