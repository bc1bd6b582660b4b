"""YAML as plain values, with the place of every one of them.

Only the JSON of YAML 1.2 is read: a bare `no` is text and not false, `04:00` is text and not a number, dates are text.
Anchors and aliases are followed; a name that stands twice in one mapping is an error, since one of the two would be
lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from penstock.core import limits
from penstock.core.projects import Place, ProjectProblem

Path = tuple[str | int, ...]

_NULL: Final = frozenset(["", "~", "null"])
_BOOLEANS: Final = {"true": True, "false": False}
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_DIGITS_MAX: Final = 300


@dataclass(slots=True)
class Tree:
    """One file's values.

    Attributes:
        value: mappings are dicts, sequences lists, scalars text, numbers, booleans or None.
        places: where each value begins, by its path from the root; the root's path is empty.
        keys: where the name of a mapping's member begins, by the member's path.
        problems: what is wrong with the file itself.
        size: how many values there are, aliases followed.
    """

    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    problems: list[ProjectProblem] = field(default_factory=list)
    size: int = 0

    def place(self, path: Path) -> Place:
        """Return where a value is, or the nearest one around it that is there."""
        for length in range(len(path), -1, -1):
            if (place := self.places.get(path[:length])) is not None:
                return place
        return self.places[()]

    def parts(self, path: Path) -> dict[str | int, Tree]:
        """Return each member of a mapping as a tree of its own, whose paths begin at the member."""
        start = len(path)
        found: dict[str | int, Tree] = {}
        for each, place in self.places.items():
            if len(each) > start and each[:start] == path:
                found.setdefault(each[start], Tree()).places[each[start + 1 :]] = place
        for each, place in self.keys.items():
            if len(each) > start + 1 and each[:start] == path:
                found[each[start]].keys[each[start + 1 :]] = place
        return found

    def key_place(self, path: Path) -> Place:
        """Return where the name of a member is."""
        return self.keys.get(path) or self.place(path)


def read_yaml(name: str, content: bytes) -> Tree:
    """Return a file's values; what is wrong with it is among its problems, and then the value is None.

    Args:
        name: of the file, for places.
        content: its bytes, UTF-8.
    """
    tree = Tree(places={(): Place(name, 1, 1)})
    if len(content) > limits.PROJECT_YAML.value * 2**20:
        words = f"the file has {len(content):,} bytes; a file in YAML has {limits.PROJECT_YAML.value} MiB at most"
        tree.problems.append(_problem(tree.places[()], words, "Split it, and put data into a table."))
        return tree
    try:
        text = content.decode("utf-8-sig")
        _bound(name, text)
        node = yaml.compose(text, Loader=_Loader)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        tree.problems.append(_problem(Place(name, line, column), "the file is not UTF-8 text", "Save it as UTF-8."))
        return tree
    except _TooLarge as error:
        tree.problems.append(error.problem)
        return tree
    except yaml.MarkedYAMLError as error:
        tree.problems.append(_syntax(name, text, error))
        return tree
    except yaml.YAMLError as error:
        tree.problems.append(_problem(Place(name, 1, 1), f"no YAML: {str(error).splitlines()[0]}", "Correct it."))
        return tree
    if node is not None:
        reader = _Reader(name, tree)
        try:
            tree.value = reader.read(node, ())
        except _TooLarge as error:
            tree.problems.append(error.problem)
            return tree
        tree.size = len(tree.places)
        if reader.merges:  # what they stand for would be missed, and that is not what is wrong
            tree.value = None
    return tree


class _Loader(yaml.CSafeLoader):  # type: ignore[misc]  # PyYAML ships no types
    """The parser alone: what a scalar means is decided here."""


_Loader.yaml_implicit_resolvers = {}


class _TooLarge(Exception):
    def __init__(self, place: Place, words: str, hint: str) -> None:
        super().__init__(words)
        self.problem = _problem(place, words, hint)


def _bound(name: str, text: str) -> None:
    """Refuse what would cost much to build, before it is built."""
    depth = values = aliases = 0
    for event in yaml.parse(text, Loader=_Loader):
        values += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > limits.PROJECT_DEPTH.value or aliases > limits.PROJECT_ALIASES.value:
            place = Place(name, event.start_mark.line + 1, event.start_mark.column + 1)
            if depth > limits.PROJECT_DEPTH.value:
                raise _too_deep(place)
            words = f"more than {limits.PROJECT_ALIASES.value} aliases stand in the file"
            raise _TooLarge(place, words, "Write the values out, or split the file.")
        if values > 2 * limits.PROJECT_VALUES.value:  # a name is an event of its own
            raise _too_many(Place(name, event.start_mark.line + 1, event.start_mark.column + 1))


def _too_deep(place: Place) -> _TooLarge:
    words = f"the file is nested too deeply: at most {limits.PROJECT_DEPTH.value} levels are read"
    return _TooLarge(place, words, "Nest it less; an alias must not stand for what it is part of.")


def _too_many(place: Place) -> _TooLarge:
    words = f"the file is too large: at most {limits.PROJECT_VALUES.value:,} values are read, with aliases followed"
    return _TooLarge(place, words, "Split it, and put data into a table.")


class _Reader:
    def __init__(self, name: str, tree: Tree) -> None:
        self._name = name
        self._tree = tree
        self._nodes = 0
        self.merges = False

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        place = self._place(node)
        self._tree.places[path] = place
        if len(path) > limits.PROJECT_DEPTH.value:
            raise _too_deep(place)
        if self._nodes > limits.PROJECT_VALUES.value:  # an alias may stand for itself a thousandfold
            raise _too_many(place)
        if isinstance(node, yaml.MappingNode):
            return dict(self._members(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _members(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, Place] = {}
        for key_node, value_node in node.value:
            place = self._place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._tree.problems.append(_problem(place, "a name is text", "Write a name before the colon."))
                continue
            key = str(key_node.value)
            if key == "<<" and not key_node.style:
                self.merges = True
                words, hint = "merge keys (<<) are not read", "Write the names out, or use an alias for a whole value."
                self._tree.problems.append(_problem(place, words, hint))
                continue
            if key in seen:
                words = f"{key!r} stands here twice; it was first given in line {seen[key].line}"
                self._tree.problems.append(_problem(place, words, "Remove one of the two."))
                continue
            seen[key] = self._tree.keys[(*path, key)] = place
            yield key, self.read(value_node, (*path, key))

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if node.style:  # quoted, or a block of text
            return text
        if text in _NULL:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _INTEGER.fullmatch(text):
            if len(text) > _DIGITS_MAX:
                words = f"a number has {len(text):,} digits; at most {_DIGITS_MAX} are read"
                self._tree.problems.append(_problem(self._place(node), words, "Put it in quotes."))
                return None
            return int(text)
        return float(text) if _NUMBER.fullmatch(text) else text

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._name, node.start_mark.line + 1, node.start_mark.column + 1)


_LOOK: Final = "Look at the indentation and at what is open before this place."
# What libyaml says, what that means to somebody who wrote a file, and what to do.
_WORDS: Final = (
    ("mapping values are not allowed", "a colon stands where none can", f"Put text with a colon in quotes. {_LOOK}"),
    ("found undefined alias", "nothing has the name of this alias", "Write &name before the value that *name repeats."),
    ("cannot start any token", "text cannot begin with this sign", "Put the text in quotes."),
    ("expected a single document", "a second document begins here", "Put it into a file of its own."),
    ("scanning a quoted scalar", "a quote is opened here and never closed", "Close it, or take it away."),
    ("parsing a flow sequence", "a list is open: `,` or `]` is missing before this place", "Close the list."),
    ("parsing a flow mapping", "a mapping is open: `,` or `}` is missing before this place", "Close the mapping."),
)


def _syntax(name: str, text: str, error: yaml.MarkedYAMLError) -> ProjectProblem:
    words = " ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    if "scanning a quoted scalar" in words:  # it ends with the file; where it began is what one looks for
        mark = error.context_mark or mark
    place = Place(name, mark.line + 1, mark.column + 1) if mark is not None else Place(name, 1, 1)
    lines = text.split("\n")
    indent = lines[place.line - 1][: place.column] if place.line <= len(lines) else ""
    if "\t" in indent and not indent.strip():
        return _problem(place, "no valid YAML: a tab in the indentation", "Indent with spaces.")
    for sign, meaning, hint in _WORDS:
        if sign in words:
            return _problem(place, f"no valid YAML: {meaning}", hint)
    return _problem(place, f"no valid YAML: {words}", _LOOK)


def _problem(place: Place, message: str, hint: str) -> ProjectProblem:
    return ProjectProblem("yaml_invalid", message, place, hint)
