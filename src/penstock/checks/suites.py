"""Suites as people write them: JSON in the format of Great Expectations, held to the types that there are.

Everything that is wrong is told at once, each with its place, its path in the JSON, what would be valid and the nearest
match. Suites of Great Expectations before 1.0 are read too (`expectation_suite_name`, `expectation_type`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from penstock.base.nearest import nearest
from penstock.checks import expectations
from penstock.checks.check import ExpectationType
from penstock.checks.json_trees import json_path, members, read_json
from penstock.checks.specs import Spec
from penstock.core import limits
from penstock.core.projects import Place, ProjectProblem
from penstock.project.checking import check
from penstock.project.yaml_trees import Path, Tree


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation of a suite.

    Attributes:
        type: its name, as `expect_column_values_to_not_be_null`.
        spec: its arguments, checked.
        kwargs: its arguments as they were written.
        meta: what its author noted.
        severity: what a failure means to its author.
    """

    type: str
    spec: Spec
    kwargs: Mapping[str, Any]
    meta: Mapping[str, Any]
    severity: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """Expectations about one table."""

    name: str
    expectations: tuple[Expectation, ...]


class _Open(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    meta: dict[str, Any] | None = None
    notes: Any = None


class _Entry(_Open):
    type: str | None = None
    expectation_type: str | None = None
    kwargs: dict[str, Any]
    severity: Literal["critical", "warning", "info"] = "critical"
    description: str | None = None
    expectation_context: Any = None
    rendered_content: Any = None
    ge_cloud_id: Any = None


class _File(_Open):
    name: str | None = None
    expectation_suite_name: str | None = None
    expectations: Annotated[list[Any], Field(max_length=limits.SUITE_EXPECTATIONS.value)]
    suite_parameters: dict[str, Any] | None = None
    evaluation_parameters: dict[str, Any] | None = None
    data_asset_type: Any = None
    ge_cloud_id: Any = None


def read_suite(
    name: str, content: bytes, *, types: Mapping[str, ExpectationType] | None = None
) -> tuple[Suite | None, list[ProjectProblem]]:
    """Return a suite, or None and everything that is wrong with it.

    Args:
        name: of the file, for places; it names the suite when the file does not.
        content: its bytes.
        types: that there are; those of `checks/expectations` when left out.
    """
    most = limits.SUITE_BYTES.value * 2**20
    if len(content) > most:
        words = f"the suite has {len(content):,} bytes; at most {most:,} are read"
        return None, [ProjectProblem("suite_invalid", words, Place(name, 1, 1), "Make two suites of it.")]
    tree = read_json(name, content)
    if tree.problems:
        return None, tree.problems
    found = _Reading(tree, types if types is not None else expectations.discover())
    suite = found.suite(name)
    problems = [_with_path(problem, tree) for problem in found.problems]
    return (None if problems else suite), problems


class _Reading:
    def __init__(self, tree: Tree, types: Mapping[str, ExpectationType]) -> None:
        self._tree, self._types = tree, types
        self.problems: list[ProjectProblem] = []

    def suite(self, name: str) -> Suite | None:
        value = self._tree.value
        if not isinstance(value, dict):
            self._problem((), "a suite is a mapping with expectations", 'Write {"name": ..., "expectations": [...]}.')
            return None
        file = check(_File, value, tree=self._tree, path=(), problems=self.problems)
        found = [self._expectation(entry, ("expectations", at)) for at, entry in members(value.get("expectations"))]
        if file is None:
            return None
        return Suite(file.name or file.expectation_suite_name or name, tuple(one for one in found if one))

    def _expectation(self, value: Any, path: Path) -> Expectation | None:
        if not isinstance(value, dict):
            self._problem(path, "an expectation is a mapping", 'Write {"type": ..., "kwargs": {...}}.')
            return None
        entry = check(_Entry, value, tree=self._tree, path=path, problems=self.problems)
        type_ = value.get("type", value.get("expectation_type"))
        if not isinstance(type_, str):
            if entry is not None:
                self._problem(path, "the expectation has no type", f"Add one. {nearest('', self._types)}")
            return None
        known = self._types.get(type_)
        if known is None:
            step = "type" if "type" in value else "expectation_type"
            self._problem((*path, step), f"the type {type_!r} is not known", nearest(type_, self._types))
            return None
        if entry is None or not self._without_parameters(entry.kwargs, (*path, "kwargs")):
            return None
        spec = check(known.Spec, entry.kwargs, tree=self._tree, path=(*path, "kwargs"), problems=self.problems)
        if spec is None:
            return None
        return Expectation(type_, spec, entry.kwargs, entry.meta or {}, entry.severity, entry.id)

    def _without_parameters(self, kwargs: Mapping[str, Any], path: Path) -> bool:
        found = [name for name, value in kwargs.items() if isinstance(value, dict) and "$PARAMETER" in value]
        for name in found:
            self._problem((*path, name), "parameters of suites are not supported", "Write the value itself.")
        return not found

    def _problem(self, path: Path, message: str, hint: str) -> None:
        self.problems.append(ProjectProblem("suite_invalid", message, self._tree.place(path), hint))


def _with_path(problem: ProjectProblem, tree: Tree) -> ProjectProblem:
    path = next(_paths(problem, tree), ())
    words = problem.message.removeprefix(f"{path[-1]}: ") if path else problem.message  # the path ends in it
    return replace(problem, code="suite_invalid", message=f"{json_path(path)}: {words}")


def _paths(problem: ProjectProblem, tree: Tree) -> Iterator[Path]:
    """Yield the paths of what stands at a problem's place, the names of members first."""
    yield from (path for path, place in tree.keys.items() if place == problem.place)
    yield from (path for path, place in tree.places.items() if place == problem.place)
