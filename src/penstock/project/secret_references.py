"""Secrets in a project are named, never written: `${secret:NAME}`, and that in connections only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from penstock.core.projects import ProjectProblem
from penstock.project.yaml_trees import Path, Tree

_SECRET: Final = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|secret_key|token|api_key|access_key|private_key|credentials)$"
)
_IN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/@:\s]*:(?P<password>[^@/\s]+)@", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\$\{secret:(?P<name>[^}]*)\}?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HINT: Final = "Write ${{secret:{name}}} in its place, and give Penstock the value: penstock secrets put {name}"


def is_secret(name: str) -> bool:
    """Return whether a value of that name is to be kept secret."""
    return _SECRET.search(name.lower()) is not None


def problems_of_connection(
    connection: str, given: Mapping[str, Any], tree: Tree, path: Path
) -> Iterator[ProjectProblem]:
    """Yield the secrets of a connection that stand there in plain text, or under a name that cannot be."""
    for where, text in texts(given, path):
        for found in _REFERENCE.finditer(text):
            if not found[0].endswith("}") or not _NAME.fullmatch(found["name"]):
                words = f"{where[-1]}: {found[0]!r} names no secret"
                hint = "Write ${secret:NAME}: letters, digits and _, no digit first, at most 64."
                yield ProjectProblem("project_invalid", words, tree.place(where), hint)
        steps = [str(step) for step in where[len(path) :] if isinstance(step, str)]
        name = "_".join([connection, *steps]).upper()
        if (
            (any(is_secret(step) for step in steps) or steps == ["auth", "value"])
            and text
            and not _REFERENCE.search(text)
        ):
            message = f"{where[-1]}: a secret stands here in plain text"
            yield ProjectProblem("secret_in_project", message, tree.place(where), _HINT.format(name=name))
        in_url = _IN_URL.search(text)
        if in_url is not None and not _REFERENCE.search(in_url["password"]):
            message = f"{where[-1]}: a password stands here in plain text, in the URL"
            yield ProjectProblem(
                "secret_in_project", message, tree.place(where), _HINT.format(name=f"{connection}_PASSWORD".upper())
            )


def problems_elsewhere(given: Any, tree: Tree, path: Path) -> Iterator[ProjectProblem]:
    """Yield the places outside of connections where a secret is asked for."""
    for where, text in texts(given, path):
        if _REFERENCE.search(text):
            message = f"{where[-1]}: a secret is asked for outside of a connection"
            hint = "Put it into a connection in penstock.yml, and name that connection here."
            yield ProjectProblem("secret_in_project", message, tree.place(where), hint)


def texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every text in a value, after its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from texts(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from texts(each, (*path, index))
