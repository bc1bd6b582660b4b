"""The OpenAPI document: the framework's, with errors as they really are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from penstock.api.problems import MEDIA_TYPE, ProblemBody
from penstock.api.run_models import RunChange

_PROBLEM: Final = {"$ref": "#/components/schemas/ProblemBody"}
_FOREIGN: Final = ("HTTPValidationError", "ValidationError")
_DESCRIPTION: Final = """
Every error is `application/problem+json` with a stable `code`. Lists have `items` and `next`, which is the `cursor` of
the page after. Times are ISO 8601, UTC. A POST that makes a job, a run or a back-fill honours `Idempotency-Key`.
""".strip()


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=_DESCRIPTION,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = found["components"]["schemas"]
        for name in _FOREIGN:
            schemas.pop(name, None)
        schemas.update(_schemas_of(ProblemBody) | _schemas_of(RunChange))  # of a stream, which has no schema there
        for operation in operations(found):
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "What went wrong, and what to do.",
                "content": {MEDIA_TYPE: {"schema": _PROBLEM}},
            }
        app.openapi_schema = found
    return app.openapi_schema


def operations(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every operation of a document."""
    for path in found["paths"].values():
        for method, operation in path.items():
            if method != "parameters":
                yield operation


def _schemas_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), model.__name__: schema}
