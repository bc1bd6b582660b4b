"""A command that a page, a hint or an example names is there, with the options that it is given."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.tidy.tree import files_named, parsed, text
from tools import reference

COMMANDS = dict(reference.commands())
QUOTED = re.compile(r"`(penstock [a-z][^`]*)`")
IN_A_BLOCK = re.compile(r"^(?:\$ )?(penstock [a-z].*)$", re.MULTILINE)
IN_A_SENTENCE = re.compile(r"(?<![\w`/@.-])(penstock [a-z]+(?: [^\s,;:()`]+)*)")
END = re.compile(r" (?:&&|\|\|?|#|>|<) ?|;|\)|,|…|  ")
OPTION = re.compile(r"--[a-z][a-z-]*")


def named() -> Iterator[tuple[str, str]]:
    """Every command that is named, after the file that names it."""
    for path in files_named(".md"):
        if path.name != "CHANGELOG.md":  # what was true once stays there
            for pattern in (QUOTED, IN_A_BLOCK):
                yield from ((str(path), found) for found in pattern.findall(text(path)))
    for path in files_named(".py"):
        if path.is_relative_to("src"):
            for said in texts(path):
                for pattern in (QUOTED, IN_A_SENTENCE):
                    yield from ((str(path), found) for found in pattern.findall(said))


def texts(path: Path) -> Iterator[str]:
    """Every text of a file, with `X` for what is put in."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def problem(said: str) -> str | None:
    """What is wrong with a command as it is named."""
    words = END.split(said)[0].split()
    known = next((count for count in range(len(words), 1, -1) if " ".join(words[:count]) in COMMANDS), 0)
    if not known:
        return "there is no such command"
    command, rest = COMMANDS[" ".join(words[:known])], words[known:]
    if isinstance(command, click.Group) and not command.invoke_without_command and rest and rest[0][0].islower():
        return f"it has no {rest[0]}"
    below = command.commands.values() if isinstance(command, click.Group) else ()  # `tables NAME` is one of those
    options = {name for each in (command, *below) for option in each.params for name in option.opts} | {"--help"}
    wrong = [word for word in rest if (name := OPTION.match(word)) and name[0] not in options]
    return f"it has no {' '.join(wrong)}" if wrong else None


def test_every_command_that_is_named_is_there():
    """Somebody who is told what to do next can do it."""
    wrong = {f"{place}: {said}: {why}" for place, said in named() if (why := problem(said)) is not None}
    assert sorted(wrong) == []


@pytest.mark.parametrize(
    "said", ["penstock secrets set NAME", "penstock scripts try clean --version 1.0.0", "penstock carry on"]
)
def test_a_command_that_is_not_there_is_found(said):
    assert problem(said) is not None


@pytest.mark.parametrize(
    "said", ["penstock secrets put NAME < a.txt", "penstock tables marts.daily --history 5", "penstock run && ls --all"]
)
def test_a_command_that_is_there_is_not(said):
    assert problem(said) is None
