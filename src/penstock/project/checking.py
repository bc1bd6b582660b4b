"""A mapping held to a model: each thing that is wrong with its place, what would be valid, and the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from penstock.core.projects import ProjectProblem
from penstock.project.yaml_trees import Path, Tree

ModelT = TypeVar("ModelT", bound=BaseModel)

_SHOWN_MAX: Final = 12
_KINDS: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def check(model: type[ModelT], value: Any, *, tree: Tree, path: Path, problems: list[ProjectProblem]) -> ModelT | None:
    """Return a value as its model; None when something is wrong with it, which is then among the problems."""
    try:
        return model.model_validate(value, strict=False)
    except ValidationError as error:
        problems += _problems(error, model, tree, path)
        return None


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return words that lead from something unknown to what there is."""
    known = sorted(valid)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    shown = ", ".join(known[:_SHOWN_MAX]) + (f" and {len(known) - _SHOWN_MAX} more" if len(known) > _SHOWN_MAX else "")
    listed = f"There are: {shown}." if known else "There are none."
    return f"Did you mean {close[0]!r}? {listed}" if close else listed


def _problems(error: ValidationError, model: type[BaseModel], tree: Tree, path: Path) -> Iterator[ProjectProblem]:
    seen = set()
    for each in error.errors(include_url=False, include_context=True):
        problem = _problem(each, model, tree, path)
        if each["type"] in ("missing", "extra_forbidden"):
            yield problem
        elif problem.place not in seen:  # a union says for each of its members what keeps the value from it
            seen.add(problem.place)
            yield problem


def _problem(error: ErrorDetails, model: type[BaseModel], tree: Tree, path: Path) -> ProjectProblem:
    where = (*path, *_steps(error["loc"], tree, path))
    name = str(where[-1]) if where else ""
    if error["type"] == "missing":
        name = str(error["loc"][-1])
        fields = f"{name!r} is missing"
        return ProjectProblem("project_invalid", fields, tree.key_place(where), f"Add {name}: to it.")
    if error["type"] == "extra_forbidden":
        hint = nearest(name, _names(model, error["loc"][:-1]))
        return ProjectProblem("project_invalid", f"{name!r} is not known here", tree.key_place(where), hint)
    return ProjectProblem("project_invalid", *_words(error, name, tree, where))


def _words(error: ErrorDetails, name: str, tree: Tree, where: Path) -> tuple[str, Any, str]:
    is_name = bool(error["loc"]) and error["loc"][-1] == "[key]"
    found, place = _shown(error["input"]), tree.key_place(where) if is_name else tree.place(where)
    if error["type"] in _KINDS:
        wanted = _KINDS[error["type"]]
        return f"{name}: {found} is not {wanted}", place, f"Write {wanted}."
    if error["type"] == "literal_error":
        valid = error.get("ctx", {}).get("expected", "")
        return f"{name}: {found} is not valid", place, f"Valid is {valid}."
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    words = message if found in message else f"{found}: {message}"
    return f"{name}: {words}", place, "Correct the value."


def _steps(loc: tuple[str | int, ...], tree: Tree, path: Path) -> Iterator[str | int]:
    """Yield the part of an error's place that is in the file: a model's own steps, such as a union's, are not."""
    here: Path = path
    for step in loc:
        if (*here, step) not in tree.places and (*here, step) not in tree.keys:
            continue
        here = (*here, step)
        yield step


def _names(model: type[BaseModel], loc: tuple[str | int, ...]) -> Iterator[str]:
    """Yield the names that the innermost model at a place knows."""
    current: Any = model
    for step in loc:
        fields = getattr(current, "model_fields", {})
        found = next((field for key, field in fields.items() if step in (key, field.alias)), None)
        current = next(iter(_models(found.annotation)), current) if found is not None else current
    for key, field in getattr(current, "model_fields", {}).items():
        yield field.alias or key


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models(part)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return "nothing" if value is None else text if len(text) <= 80 else text[:77] + "..."
