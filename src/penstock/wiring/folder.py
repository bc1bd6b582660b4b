"""A project's folder as it lies there, before anything of it runs: its files, what is wrong, their schemas."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.storage.project_folder import read_project_folder, untracked

if TYPE_CHECKING:
    from penstock.core.projects import Project
    from penstock.usecases.project_tests import ProjectTests

__all__ = ["check_files", "project_tests", "read_files", "schemas", "untracked_files"]


def read_files(folder: Path, *, tracked: bool = False) -> Mapping[str, bytes]:
    """Return the files of a project by path; only those that git tracks when `tracked`, where there is git.

    Raises:
        InputNotFound: when there is no project in the folder.
        InputUnreadable: when a file cannot be read, or is a link.
        TooLarge: when there is more than a project may have.
    """
    return read_project_folder(folder, tracked=tracked)


def untracked_files(folder: Path) -> Sequence[str]:
    """Return the files that a deploy leaves out because git does not track them."""
    return untracked(folder)


def check_files(files: Mapping[str, bytes]) -> Project:
    """Return the project that files make.

    Raises:
        ProjectInvalid: with every problem of every file.
    """
    from penstock.project.loading import load_project

    kinds, connection_kinds = _kinds()
    return load_project(files, kinds=kinds, connection_kinds=connection_kinds)


def schemas() -> Mapping[str, dict[str, Any]]:
    """Return the JSON Schemas of a project's YAML files, by the name of the file that each is for."""
    from penstock.project.schemas import pipeline_schema, project_schema

    kinds, connection_kinds = _kinds()
    return {
        "penstock.json": project_schema(connection_kinds),
        "pipeline.json": pipeline_schema(kinds, connection_kinds),
    }


@contextlib.contextmanager
def project_tests() -> Iterator[ProjectTests]:
    """Give what runs the tests of a project, and end every process that it has started."""
    from penstock.checks.judging import GxSuites
    from penstock.sandbox.heavy import HeavySandbox
    from penstock.sandbox.strict import StrictSandbox
    from penstock.usecases.project_tests import ProjectTests

    with contextlib.closing(StrictSandbox()) as sandbox:
        yield ProjectTests(sandbox, HeavySandbox(), GxSuites())


def _kinds() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    from penstock.checks.judging import GxSuites
    from penstock.connectors import connectors
    from penstock.tasks import run_kinds

    return run_kinds(suites=GxSuites(), connectors=connectors()), connectors()
