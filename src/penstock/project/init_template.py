"""The files of a new project: one that runs as it is, small enough to be read in a minute."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from penstock.core.errors import UsageError
from penstock.project.models import PROJECT_NAME

_NAME: Final = "PROJECT"
_RENAMED: Final = {"gitignore": ".gitignore"}  # which would have hidden parts of the template from git


def new_project(name: str) -> Mapping[str, bytes]:
    """Return the files of a new project by path.

    Raises:
        UsageError: when the name is none that a project can have.
    """
    if not re.fullmatch(PROJECT_NAME, name):
        raise UsageError(
            f"{name!r} is no name of a project",
            hint="Valid are small letters, digits, _ and -, a letter first, at most 63.",
        )
    found = dict(_files(files("penstock.project") / "template", ""))
    return {_RENAMED.get(path, path): content.replace(_NAME.encode(), name.encode()) for path, content in found.items()}


def _files(folder: Traversable, before: str) -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda one: one.name):
        if each.is_dir() and each.name != "__pycache__":
            yield from _files(each, f"{before}{each.name}/")
        elif each.is_file():
            yield f"{before}{each.name}", each.read_bytes()
