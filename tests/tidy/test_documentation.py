"""What a user can meet has an entry in the documentation: errors, limits, commands, rooms, dependencies."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import penstock
from penstock.core import limits
from tests.tidy.tree import ROOT, definitions, files, files_named, parsed, text
from tools import reference

LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^)#\s]+)")
CODE = re.compile(r"[a-z]+(_[a-z]+)+")
CODE_TAKERS = re.compile(r"(Error|Broken|Failure|Undecodable|Death|Problem|failure|^_at|^_kill)$")
UNUSED_WORDS = re.compile(r"\b(assets?|flows?|DAGs?|stages?|experiments?)\b", re.IGNORECASE)
SAYS_THEM = {"GLOSSARY.md"}  # where the words stand that are not used


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_what_the_code_says(name):
    """Run `make docs` to write it again."""
    assert reference.rendered(name) == text(Path("docs", name))


def test_every_error_code_has_a_page():
    """`docs/errors/<code>.md` opens with the code, then one paragraph that says what it means."""
    assert [f"{place} {code}" for place, code in error_codes() if not page(code).startswith(f"# {code}\n\n")] == []


def test_every_error_page_is_about_an_error():
    """A code that is gone takes its page along."""
    pages = {path.stem for path in files() if path.parent == Path("docs/errors")} - {"index"}
    assert sorted(pages - {code for _, code in error_codes()}) == []


def test_every_command_and_option_says_what_it_is_for():
    """`--help` is the reference."""
    silent = [name for name, command in reference.commands() if not command.help]
    silent += [
        f"{name} {option.opts[-1]}"
        for name, command in reference.commands()
        for option in command.params
        if isinstance(option, click.Option) and not option.help and not option.hidden
    ]
    assert silent == []


def test_every_room_is_in_the_architecture():
    """A stranger finds out what a room is for."""
    rooms = {path.parts[2].removesuffix(".py") for path in files_named(".py") if path.parts[:2] == ("src", "penstock")}
    rooms -= {"__init__", "__main__"}
    assert sorted(room for room in rooms if f"`{room}`" not in text(Path("ARCHITECTURE.md"))) == []


def test_every_dependency_has_its_reasons():
    """What it replaces, its size, its keeper, the way out."""
    project = tomllib.loads(text(Path("pyproject.toml")))
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    names = [re.split(r"[^\w-]", requirement)[0] for requirement in wanted]
    assert [name for name in names if f"`{name}`" not in text(Path("docs/adr/0004-dependencies.md"))] == []


def test_the_changelog_has_this_version():
    """What is about to be released is described."""
    assert f"\n## {penstock.__version__}" in text(Path("CHANGELOG.md"))


def test_links_lead_somewhere():
    """From every page, the site's and the ones in the root."""
    broken = [
        f"{path}: {target}"
        for path in files_named(".md")
        for target in LINK.findall(text(path))
        if ":" not in target and not (ROOT / path.parent / target).exists()
    ]
    assert broken == []


def test_words_are_those_of_the_glossary():
    """A second word for one thing costs every reader a question."""
    pages = [
        f"{path}: {word}"
        for path in files_named(".md")
        if path.name not in SAYS_THEM
        for word in UNUSED_WORDS.findall(text(path))
    ]
    names = [f"{place} {node.name}" for place, node in definitions() if UNUSED_WORDS.search(spelled_out(node.name))]
    assert pages + names == []


def error_codes() -> Iterator[tuple[str, str]]:
    """Codes of limits and error classes, and those of errors that are data, each after its place."""
    yield from ((f"limit {limit.name}", limit.code) for limit in limits.ALL if limit.code)
    for path in files_named(".py"):
        if path.parts[0] == "src":
            for node in ast.walk(parsed(path)):
                yield from ((f"{path}:{getattr(node, 'lineno', 0)}", code) for code in codes_in(node))


def codes_in(node: ast.AST) -> Iterator[str]:
    """Codes said here: `code = "x"`, `{"code": "x_y"}`, `f(code="x_y")`, `SomeError("x_y")`, `return "x_y", ...`."""
    match node:
        case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))):
            yield code
        case ast.Assign(targets=[ast.Name(id="code")], value=value) | ast.keyword(arg="code", value=value):
            yield from codes_within(value)
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code":
                    yield from codes_within(value)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments) if CODE_TAKERS.search(name):
            texts = [argument.value for argument in arguments if isinstance(argument, ast.Constant)]
            yield from [text for text in texts if isinstance(text, str) and CODE.fullmatch(text)][:1]
        case ast.arguments(kwonlyargs=parameters, kw_defaults=defaults):
            for parameter, default in zip(parameters, defaults, strict=True):
                if parameter.arg == "code" and default is not None:
                    yield from codes_within(default)
        case ast.Return(value=ast.Tuple(elts=[ast.Constant(value=str(code)), *_])) if code.replace("_", "").isalpha():
            yield code


def codes_within(value: ast.expr) -> Iterator[str]:
    """Every text in an expression that looks like a code."""
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


def page(code: str) -> str:
    """The page of an error code; empty when there is none."""
    path = Path("docs/errors") / f"{code}.md"
    return text(path) if (ROOT / path).exists() else ""


def spelled_out(name: str) -> str:
    """`DataFlow` and `data_flow` as `data flow`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name)
