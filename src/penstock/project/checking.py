"""A mapping held to a model: each thing that is wrong with its place, what would be valid, and the nearest match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from penstock.base.nearest import nearest
from penstock.core import limits
from penstock.core.projects import ProjectProblem, Task
from penstock.project.models import NAME, PROJECT_NAME
from penstock.project.secret_references import is_secret
from penstock.project.yaml_trees import Path, Tree

ModelT = TypeVar("ModelT", bound=BaseModel)

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
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
# What a value is beside its bound, with the bound's name in pydantic's context, and what would be valid.
_BOUNDS: Final = {
    "greater_than_equal": ("is less than {ge}", "Valid is {ge} and more."),
    "greater_than": ("is not more than {gt}", "Valid is more than {gt}."),
    "less_than_equal": ("is more than {le}", "Valid is {le} and less."),
    "less_than": ("is not less than {lt}", "Valid is less than {lt}."),
    "too_short": ("has fewer than {min_length} in it", "Write {min_length} at least."),
    "too_long": ("has more than {max_length} in it", "Write {max_length} at most."),
    "string_too_short": ("is shorter than {min_length} signs", "Write {min_length} signs at least."),
    "string_too_long": ("is longer than {max_length} signs", "Write {max_length} signs at most."),
}
_NAMES: Final = {
    NAME: "Valid are small letters, digits and _, a letter first, at most 63.",
    PROJECT_NAME: "Valid are small letters, digits, _ and -, a letter first, at most 63.",
}


def check(
    model: type[ModelT],
    value: Any,
    *,
    tree: Tree,
    path: Path,
    problems: list[ProjectProblem],
    also: Iterable[str] = (),
) -> ModelT | None:
    """Return a value as its model; None when something is wrong with it, which is then among the problems.

    Args:
        model: what the value is held to.
        value: mappings, lists and scalars.
        tree: where everything stands.
        path: of the value in the tree.
        problems: gets more.
        also: names that are valid beside the model's own, for the nearest match.
    """
    try:
        return model.model_validate(value, strict=False)
    except ValidationError as error:
        problems += _problems(error, model, tree, path, also)
        return None


def check_part(
    model: type[ModelT], task: Task, *path: str | int, value: Any
) -> tuple[ModelT | None, list[ProjectProblem]]:
    """Return a part of a task as a model that only its kind knows of, and what is wrong with it.

    Args:
        model: such as what a connection lets an ingest say under `from`.
        task: whose part.
        path: where the value stands in the task, such as `"from"`.
        value: mappings, lists and scalars.
    """
    tree = Tree(places={(): task.place, **task.places}, keys=dict(task.names))
    problems: list[ProjectProblem] = []
    return check(model, value, tree=tree, path=path, problems=problems), problems


def what_holds(model: type[BaseModel], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return by their names the parts of a value that are as its model wants them, where others are not.

    With them the rest is looked at, so that one mistake hides no other. A part that is not there has its default.
    """
    held = {}
    for name, field in model.model_fields.items():
        given = field.alias or name
        if given not in value:
            if not field.is_required():
                held[name] = field.get_default(call_default_factory=True)
            continue
        try:
            held[name] = TypeAdapter(field.rebuild_annotation()).validate_python(value[given])
        except ValidationError:
            continue
    return held


def _problems(
    error: ValidationError, model: type[BaseModel], tree: Tree, path: Path, also: Iterable[str]
) -> Iterator[ProjectProblem]:
    seen = set()
    first = error.errors(include_url=False, include_context=True)[: limits.PROJECT_PROBLEMS.value]
    errors = tuple(_meant(first, tree, path))
    for each in errors:
        problem = _problem(each, errors, model, tree, path, also)
        if each["type"] in ("missing", "extra_forbidden"):
            yield problem
        elif problem.place not in seen:  # a union says for each of its members what keeps the value from it
            seen.add(problem.place)
            yield problem


def _meant(errors: Sequence[ErrorDetails], tree: Tree, path: Path) -> Iterator[ErrorDetails]:
    """Yield errors without those that say of a mapping that it is no text, where a union would take either."""
    for error in errors:
        loc = error["loc"]
        of_union = error["type"] in _KINDS and isinstance(error["input"], Mapping | list)
        of_union = of_union and len(tuple(_steps(loc, tree, path))) < len(loc)
        if not of_union or not any(
            len(each["loc"]) > len(loc) and each["loc"][: len(loc) - 1] == loc[:-1] for each in errors
        ):
            yield error


def _problem(
    error: ErrorDetails,
    errors: Sequence[ErrorDetails],
    model: type[BaseModel],
    tree: Tree,
    path: Path,
    also: Iterable[str],
) -> ProjectProblem:
    where = (*path, *_steps(error["loc"], tree, path))
    if error["type"] == "missing":
        name = str(error["loc"][-1])
        field = _fields(model, error["loc"][:-1]).get(name)
        said = field.description or "" if field is not None else ""
        more = f" {said[:1].upper()}{said[1:]}".rstrip()
        return ProjectProblem(
            "project_invalid", f"{name!r} is missing", tree.key_place(where), f"Add {name}: to it.{more}"
        )
    if error["type"] == "extra_forbidden":
        name = str(where[-1])
        known = {*_fields(model, error["loc"][:-1]), *(also if len(error["loc"]) == 1 else ())}
        return ProjectProblem(
            "project_invalid", f"{name!r} is not known here", tree.key_place(where), nearest(name, known)
        )
    if error["type"] == "union_tag_not_found":
        found = _fields(model, error["loc"][:-1]).get(str(error["loc"][-1]))
        kinds = [] if found is None else [kind for each in _models(found.annotation) for kind in _kinds(each)]
        hint = f"Add kind: to it, one of {', '.join(kinds)}."
        return ProjectProblem("project_invalid", "'kind' is missing", tree.key_place(where), hint)
    if error["type"] == "union_tag_invalid":
        where = (*where, "kind")
    subject = "" if not where else f"{where[-2]} {where[-1] + 1}" if isinstance(where[-1], int) else str(where[-1])
    is_name = bool(error["loc"]) and error["loc"][-1] == "[key]"
    place = tree.key_place(where) if is_name else tree.place(where)
    if not subject and error["input"] is None:
        return ProjectProblem("project_invalid", "the file is empty", place, _instead(None, "a mapping"))
    wanted = [_KINDS[each["type"]] for each in errors if each["type"] in _KINDS and each["input"] is error["input"]]
    words, hint = _words(error, subject, " or ".join(dict.fromkeys(wanted)))
    return ProjectProblem("project_invalid", f"{subject or 'the file'}: {words}", place, hint)


def _words(error: ErrorDetails, subject: str, wanted: str) -> tuple[str, str]:
    """Return what is wrong with a value, and what to do."""
    found = _shown(error["input"]) if not is_secret(subject) else "what stands here"
    context = error.get("ctx", {})
    if error["type"] in _KINDS:
        return f"{found} is not {wanted}", _instead(error["input"], wanted)
    if error["type"] == "literal_error":
        # In order: which of two equal types came first decides the order that pydantic has them in.
        *others, last = sorted(re.split(", | or ", str(context.get("expected", ""))))
        return f"{found} is not valid", f"Valid is {', '.join(others)} or {last}." if others else f"Valid is {last}."
    if error["type"] == "too_short" and not error["input"]:
        return "nothing is in it", "Write one at least."
    if error["type"].startswith("union_tag_"):
        return f"there is no kind {context.get('tag', '')!r}", f"Valid is {context.get('expected_tags', '')}."
    if error["type"] in _BOUNDS:
        words, hint = _BOUNDS[error["type"]]
        return f"{found} {words.format(**context)}", hint.format(**context)
    if error["type"] == "string_pattern_mismatch":
        pattern = str(context.get("pattern", ""))
        return f"{found} is no valid name" if pattern in _NAMES else f"{found} is not valid", _NAMES.get(
            pattern, f"Valid is what the regular expression {pattern} matches."
        )
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    message = message.removeprefix(f"{subject}: ")
    message = message.replace(found, "\0")  # what was found may have a semicolon itself
    words, _, hint = message.partition("; ") if "; " in message else message.partition(". ")
    words, hint = words.replace("\0", found), hint.replace("\0", found)
    hint = _sentence(hint) if hint else "Correct the value."
    said = found in words or found == "what stands here" or isinstance(error["input"], Mapping | list)
    return words if said else f"{found}: {words}", hint


def _sentence(words: str) -> str:
    ended = words[-1] in ".?!"
    return words[:1].upper() + words[1:] + ("" if ended else ".")


def _instead(value: Any, wanted: str) -> str:
    if wanted == "text" and isinstance(value, bool | int | float):
        return "Put it in quotes."
    if wanted == "a list" and isinstance(value, str):
        return f"Write a list: [{value[:80]}]."
    if wanted == "a mapping":
        return "Write names with values below it, such as `name: value`, with a space after the colon."
    return f"Write {wanted}."


def _steps(loc: tuple[str | int, ...], tree: Tree, path: Path) -> Iterator[str | int]:
    """Yield the part of an error's place that is in the file: a model's own steps, such as a union's, are not."""
    here: Path = path
    for step in loc:
        if (*here, step) not in tree.places and (*here, step) not in tree.keys:
            continue
        here = (*here, step)
        yield step


def _fields(model: type[BaseModel], loc: tuple[str | int, ...]) -> dict[str, FieldInfo]:
    """Return what the innermost model at a place knows, by its name there."""
    current: type[BaseModel] = model
    members: tuple[type[BaseModel], ...] = ()
    for step in loc:
        found = next((field for key, field in current.model_fields.items() if step in (key, field.alias)), None)
        if found is not None:
            members = tuple(_models(found.annotation))
            current = next(iter(members), current)
        else:  # of several members of a union, the one that was meant
            current = next((each for each in members if step == each.__name__ or step in _kinds(each)), current)
    return {field.alias or key: field for key, field in current.model_fields.items()}


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the values by which a member of a union is told from the others."""
    kind = model.model_fields.get("kind")
    annotation: Any = None if kind is None else kind.annotation
    return get_args(annotation)


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
