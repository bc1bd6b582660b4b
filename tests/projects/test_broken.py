"""Each broken project is refused with the very words that stand beside it, and in no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import ProjectInvalid
from penstock.project.init_template import new_project
from penstock.project.yaml_trees import read_yaml
from penstock.wiring.folder import check_files, read_files

HERE = Path(__file__).parent
CASES = sorted((HERE / "broken").glob("*.yml"))
CODES = {path.stem for path in (HERE.parents[1] / "docs" / "errors").glob("*.md")}


def good() -> dict[str, bytes]:
    """Return the files of the project that each case breaks: what `penstock init` makes."""
    return dict(new_project("shop"))


def case_of(path: Path) -> dict[str, Any]:
    """Return a case: why it is wrong, the files that differ from the good project, and what must be said."""
    tree = read_yaml(path.name, path.read_bytes())
    assert not tree.problems, tree.problems
    case: dict[str, Any] = tree.value
    return case


def said_of(files: dict[str, bytes]) -> list[dict[str, str]]:
    """Return all that is said of a project."""
    with pytest.raises(ProjectInvalid) as refused:
        check_files(files)
    return [
        {"at": str(problem.place), "code": problem.code, "message": problem.message, "hint": problem.hint}
        for problem in refused.value.problems
    ]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_broken_project_is_refused_in_these_words(path: Path):
    case = case_of(path)
    files = good()
    for name, content in case["files"].items():
        files.pop(name, None)
        if content is not None:
            files[name] = content.encode()
    said = said_of(files)
    assert said == case["says"]
    assert {each["code"] for each in said} <= CODES


def test_the_project_that_they_break_is_a_good_one():
    assert set(check_files(good()).pipelines) == {"sales"}


def test_there_are_enough_of_them():
    assert len(CASES) >= 60


def test_the_shop_of_the_examples_is_a_good_project():
    assert check_files(read_files(HERE.parents[1] / "examples" / "shop" / "project")).name == "shop"
