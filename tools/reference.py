"""Writes the parts of the documentation that the code knows best: commands, limits, expectations, errors."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from penstock.core import limits, settings

DOCS = Path(__file__).parents[1] / "docs"
OPENAPI = "reference/openapi.json"
MARK = "<!-- What follows is written by `make docs`. -->\n"


def limits_table() -> Iterator[str]:
    """Yield the table of all limits."""
    yield "| limit | value | raised by | error | why |"
    yield "|---|---|---|---|---|"
    for limit in limits.ALL:
        code = f"[{limit.code}](../errors/{limit.code}.md)" if limit.code else ""
        flag = f"`{limit.flag}`" if limit.flag else ""
        yield f"| `{limit.name}` | {limit.value:,} {limit.unit} | {flag} | {code} | {limit.why} |"


def settings_table() -> Iterator[str]:
    """Yield the table of all settings."""
    yield "| variable | default | what it is |"
    yield "|---|---|---|"
    for setting in settings.ALL:
        default = f"`{setting.default}`" if setting.default else ""
        yield f"| `{setting.name}` | {default} | {setting.sentence}{' A secret.' if setting.secret else ''} |"


def errors_table() -> Iterator[str]:
    """Yield the list of error pages with the first sentence of each."""
    yield "| code | meaning |"
    yield "|---|---|"
    for page in sorted((DOCS / "errors").glob("*.md")):
        if page.stem != "index":
            meaning = page.read_text("utf-8").split("\n\n")[1].replace("\n", " ")
            yield f"| [{page.stem}]({page.name}) | {meaning} |"


def command_sections() -> Iterator[str]:
    """Yield a section for each command: usage, help, arguments and options."""
    for name, command in commands():
        context = click.Context(command, info_name=name)
        yield (
            f"## `{name}`\n\n" + "\n\n".join(map(paragraph, inspect.cleandoc(command.help or "").split("\n\n"))) + "\n"
        )
        yield "```\n" + " ".join([name, *command.collect_usage_pieces(context)]) + "\n```\n"
        yield "| option | meaning |"
        yield "|---|---|"
        for parameter in command.params:  # --help is made by click, in the words of whoever asked for it first
            if (record := parameter.get_help_record(context)) is not None:
                words, meaning = (re.sub(r"\s+", " ", part).replace("|", "\\|") for part in record)
                yield f"| `{words}` | {meaning} |"
        yield "| `-h, --help` | Show this message and exit. |"
        yield ""


def expectation_sections() -> Iterator[str]:
    """Yield a section for each family of types of expectations: its docstring, and the arguments of each type."""
    from penstock.checks.expectations import families

    for family in families().values():
        yield "## " + ", ".join(f"`{name}`" for name in family.EXPECTATIONS) + "\n"
        yield f"{inspect.getdoc(family)}\n"
        seen: dict[tuple[str, ...], list[str]] = {}
        for name, kind in family.EXPECTATIONS.items():
            seen.setdefault(tuple(argument_rows(kind.Spec)), []).append(name)
        for rows, names in seen.items():
            if len(seen) > 1:
                yield "Arguments of " + ", ".join(f"`{name}`" for name in names) + ":\n"
            yield from ("| argument | when left out | meaning |", "|---|---|---|", *rows, "")


def argument_rows(spec: Any) -> Iterator[str]:
    """Yield a row for each argument of a type of expectation that is its own; all rows' conditions stand once above."""
    for name, argument in sorted(spec.model_fields.items(), key=lambda item: not item[1].is_required()):
        if not argument.exclude and name not in ("row_condition", "condition_parser"):
            default = "*required*" if argument.is_required() else f"`{json.dumps(argument.default)}`"
            yield f"| `{name}` | {default} | {argument.description} |"


def paragraph(text: str) -> str:
    """Return a paragraph of help; of one that click leaves as it is, the lines below the first are commands."""
    if not text.startswith("\b\n"):
        return text
    title, _, code = text[2:].partition("\n")
    return f"{title}\n\n```sh\n{inspect.cleandoc(code)}\n```"


def commands() -> list[tuple[str, click.Command]]:
    """Return every command of the command line after its full name."""
    from penstock.cli import main

    group = next(value for value in vars(main).values() if isinstance(value, click.Group))
    context = click.Context(group, info_name="penstock")
    return list(commands_of(group, context))


def commands_of(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of a group, and those of the groups in it after each."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield f"{context.info_name} {name}", command
            if isinstance(command, click.Group):
                yield from commands_of(command, click.Context(command, info_name=f"{context.info_name} {name}"))


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "reference/limits.md": limits_table,
    "reference/settings.md": settings_table,
    "reference/cli.md": command_sections,
    "reference/expectations.md": expectation_sections,
    "errors/index.md": errors_table,
}


def rendered(page: str) -> str:
    """Return what the page should be: its own words down to the mark, then what the code says."""
    words, mark, _ = (DOCS / page).read_text("utf-8").partition(MARK)
    assert mark, f"docs/{page} has lost its mark"
    return f"{words}{MARK}\n" + "\n".join(PAGES[page]()).rstrip() + "\n"


def openapi() -> str:
    """Return the OpenAPI document of the HTTP API."""
    from penstock.api.app import create_app

    server: Any = SimpleNamespace(  # nothing of it is used to describe the routes
        jobs=SimpleNamespace(ended=None), health=SimpleNamespace(scrape=None), clock=None, bells=None
    )
    return json.dumps(create_app(server).openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (DOCS / OPENAPI).write_text(openapi(), "utf-8")
    for name in PAGES:
        (DOCS / name).write_text(rendered(name), "utf-8")
