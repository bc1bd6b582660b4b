"""Tests of suites: `tests/NAME.yml` says which samples a suite is to accept, and what it is to find in others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from pydantic import Field

from penstock.base.nearest import nearest
from penstock.core.projects import Place, ProjectProblem
from penstock.project.checking import check
from penstock.project.models import Model
from penstock.project.yaml_trees import read_yaml

FOLDER: Final = "tests"
_ENDINGS: Final = (".ndjson", ".csv")
_ROWS_MAX: Final = 1_000


class SampleModel(Model):
    """A few rows, and what the suite says of them."""

    name: str = Field(description="What the sample shows.")
    rows: list[dict[str, Any]] | None = Field(None, max_length=_ROWS_MAX, description="The rows themselves.")
    file: str | None = Field(None, description="Or a file of the project that has them: .ndjson or .csv.")
    fails: list[str] = Field(
        default_factory=list,
        description="Expectations that these rows do not meet: types, or type(column); all others are met.",
    )


class SuiteTestModel(Model):
    """`tests/NAME.yml`."""

    suite: str = Field(description="The project's file with the suite, such as expectations/orders.json.")
    samples: list[SampleModel] = Field(min_length=1, max_length=100, description="What it is tried on.")


@dataclass(frozen=True, slots=True)
class SuiteTest:
    """A suite on samples.

    Attributes:
        file: that says so.
        places: where each of the samples stands.
    """

    file: str
    model: SuiteTestModel
    places: tuple[Place, ...]


def suite_tests(files: Mapping[str, bytes]) -> tuple[Sequence[SuiteTest], Sequence[ProjectProblem]]:
    """Return the tests of a project's suites, and everything that is wrong with them."""
    found: list[SuiteTest] = []
    problems: list[ProjectProblem] = []
    for name in sorted(files):
        path = PurePosixPath(name)
        if path.parts[0] != FOLDER or path.suffix != ".yml" or len(path.parts) != 2:
            continue
        tree = read_yaml(name, files[name])
        problems += tree.problems
        model = None if tree.problems else check(SuiteTestModel, tree.value, tree=tree, path=(), problems=problems)
        if model is None:
            continue
        places = tuple(tree.place(("samples", index)) for index in range(len(model.samples)))
        problems += _problems(model, tree.place(("suite",)), places, files)
        found.append(SuiteTest(name, model, places))
    return found, problems


def _problems(
    model: SuiteTestModel, suite: Place, places: Sequence[Place], files: Mapping[str, bytes]
) -> list[ProjectProblem]:
    problems = []
    if model.suite not in files:
        alike = [name for name in files if name.endswith(".json")]
        problems.append(_problem(f"suite: the project has no file {model.suite}", suite, nearest(model.suite, alike)))
    for sample, place in zip(model.samples, places, strict=True):
        if (sample.rows is None) == (sample.file is None):
            words = f"the sample {sample.name!r} has rows, or a file that has them: one of the two"
            problems.append(_problem(words, place, "Write rows: or file:."))
        elif sample.file is not None and (sample.file not in files or not sample.file.endswith(_ENDINGS)):
            alike = [name for name in files if name.endswith(_ENDINGS)]
            words = f"file: the project has no file {sample.file} that ends in {' or '.join(_ENDINGS)}"
            problems.append(_problem(words, place, nearest(sample.file, alike)))
    return problems


def _problem(message: str, place: Place, hint: str) -> ProjectProblem:
    return ProjectProblem("project_invalid", message, place, hint)
