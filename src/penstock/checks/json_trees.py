"""JSON as plain values, with the place of every one of them.

`json.loads` knows no places and lets a name that stands twice win; here both are told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import JSONDecodeError
from json.decoder import scanstring as _scanned  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any, Final

from penstock.core.projects import Place, ProjectProblem
from penstock.project.yaml_trees import Path, Tree

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_SCALAR: Final = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS: Final = {"true": True, "false": False, "null": None}
_DEPTH_MAX: Final = 64


def read_json(name: str, content: bytes) -> Tree:
    """Return a file's values; what is wrong with it is among its problems, and then the value is None.

    Args:
        name: of the file, for places.
        content: its bytes, UTF-8.
    """
    tree = Tree(places={(): Place(name, 1, 1)})
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        place = Place(name, line, error.start - content.rfind(b"\n", 0, error.start))
        tree.problems.append(ProjectProblem("suite_invalid", "the file is not UTF-8 text", place, "Save it as UTF-8."))
        return tree
    reader = _Reader(name, text, tree)
    try:
        tree.value = reader.document()
    except JSONDecodeError as error:
        hint = "Look at commas, quotes and brackets just before this place."
        words = f"no valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
        tree.problems.append(ProjectProblem("suite_invalid", words, reader.place(error.pos), hint))
    return tree


class _Reader:
    def __init__(self, name: str, text: str, tree: Tree) -> None:
        self._name, self._text, self._tree = name, text, tree
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._line = 0

    def place(self, at: int) -> Place:
        while self._line and self._lines[self._line] > at:
            self._line -= 1
        while self._line + 1 < len(self._lines) and self._lines[self._line + 1] <= at:
            self._line += 1
        return Place(self._name, self._line + 1, at - self._lines[self._line] + 1)

    def document(self) -> Any:
        value, at = self._value(self._skip(0), ())
        at = self._skip(at)
        if at < len(self._text):
            raise JSONDecodeError("Something follows the end", self._text, at)
        return value

    def _skip(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return found.end() if found else at

    def _value(self, at: int, path: Path) -> tuple[Any, int]:
        self._tree.places[path] = self.place(at)
        if len(path) > _DEPTH_MAX:
            raise JSONDecodeError(f"More than {_DEPTH_MAX} levels", self._text, at)
        first = self._text[at : at + 1]
        if first == '"':
            return _text(self._text, at)
        if first in ("{", "["):
            return self._container(at, path)
        found = _SCALAR.match(self._text, at)
        if found is None:
            raise JSONDecodeError("A value was expected", self._text, at)
        word = found[0]
        return _WORDS[word] if word in _WORDS else json.loads(word), found.end()

    def _container(self, at: int, path: Path) -> tuple[Any, int]:
        opened, closing = self._text[at], "}" if self._text[at] == "{" else "]"
        items: list[tuple[str | int, Any]] = []
        at = self._skip(at + 1)
        while self._text[at : at + 1] != closing:
            if items:
                if self._text[at : at + 1] != ",":
                    raise JSONDecodeError(f"A comma or {closing} was expected", self._text, at)
                at = self._skip(at + 1)
            key: str | int = len(items)
            if opened == "{":
                key, at = self._key(at, path)
            value, at = self._value(at, (*path, key))
            items.append((key, value))
            at = self._skip(at)
        return (dict(items) if opened == "{" else [value for _, value in items]), at + 1

    def _key(self, at: int, path: Path) -> tuple[str, int]:
        if self._text[at : at + 1] != '"':
            raise JSONDecodeError("A name in double quotes was expected", self._text, at)
        key, end = _text(self._text, at)
        place = self.place(at)
        if (*path, key) in self._tree.keys:
            words = f"{key!r} stands here twice; it was first given in line {self._tree.keys[(*path, key)].line}"
            self._tree.problems.append(ProjectProblem("suite_invalid", words, place, "Remove one of the two."))
        self._tree.keys[(*path, key)] = place
        end = self._skip(end)
        if self._text[end : end + 1] != ":":
            raise JSONDecodeError("A colon was expected", self._text, end)
        return key, self._skip(end + 1)


def _text(text: str, at: int) -> tuple[str, int]:
    value, end = _scanned(text, at + 1, True)  # noqa: FBT003  # json's own, it takes no names
    return str(value), int(end)


def json_path(path: Path) -> str:
    """Return a path as JSONPath writes it: `$.expectations[3].kwargs.mostly`."""
    return "$" + "".join(_step(step) for step in path)


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}" if step.isidentifier() else f"[{step!r}]"


def members(value: Any) -> Iterator[tuple[int, Any]]:
    """Yield the items of a list with their numbers; nothing when it is no list."""
    yield from enumerate(value) if isinstance(value, list) else ()
