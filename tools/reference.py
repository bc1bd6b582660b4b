"""Writes the parts of the documentation that the code knows best: commands, limits, expectations, errors."""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from pydantic import BaseModel

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


def task_kinds() -> Mapping[str, Any]:
    """Return the kinds of tasks that pipelines have, by name."""
    from penstock.wiring.pipelines import task_kinds as kinds

    return kinds()


def connectors() -> Mapping[str, Any]:
    """Return the kinds of connections, by name."""
    from penstock.connectors import connectors as kinds

    return kinds()


def task_kind_section(name: str) -> Iterator[str]:
    """Yield what a kind of task is and what one may say: its module's docstring, and its fields."""
    kind = task_kinds()[name]
    yield f"{inspect.getdoc(sys.modules[type(kind).__module__])}\n"
    yield "## What a task of this kind says\n"
    yield from fields(kind.Spec)
    yield "Beside these it may say what every task may: see [projects](../projects.md)."


def connection_section(name: str) -> Iterator[str]:
    """Yield what a kind of connection is, its settings, and what an ingest and an export say of it."""
    kind = connectors()[name]
    yield f"{inspect.getdoc(sys.modules[type(kind).__module__])}\n"
    yield "## Settings\n"
    yield from fields(kind.Spec)
    for title, model in (
        ("What an `ingest` says under `from`", kind.From),
        ("What an `export` says under `to`", kind.To),
    ):
        if model is not None:
            yield f"## {title}\n"
            yield "Beside `connection`, the name of a connection of this kind:\n"
            yield from fields(model)


def project_sections() -> Iterator[str]:
    """Yield what penstock.yml and the files in pipelines/ may say."""
    from penstock.project import models

    for title, model in (
        ("`penstock.yml`", models.ProjectModel),
        ("A file in `pipelines/`", models.PipelineModel),
        ("Every task", models.TaskModel),
    ):
        yield f"## {title}\n"
        yield from fields(model)


def kind_tables() -> Iterator[str]:
    """Yield the lists of the kinds of tasks and connections."""
    for title, folder, kinds in (
        ("task kind", "task-kinds", task_kinds()),
        ("connection", "connections", connectors()),
    ):
        yield f"| {title} | what it is for |"
        yield "|---|---|"
        for name, kind in sorted(kinds.items()):
            doc = inspect.getdoc(sys.modules[type(kind).__module__]) or ""
            yield f"| [`{name}`]({folder}/{name}.md) | {doc.splitlines()[0]} |"
        yield ""


def fields(model: Any, *, title: str = "") -> Iterator[str]:
    """Yield the table of a model's fields, and then those of the models in them."""
    if title:
        yield f"### {title}\n"
    yield from ("| name | when left out | meaning |", "|---|---|---|")
    for name, field in sorted(model.model_fields.items(), key=lambda item: not item[1].is_required()):
        left_out = "*required*" if field.is_required() else f"`{shown(field.get_default(call_default_factory=True))}`"
        meaning = (field.description or "").replace("|", "\\|")
        yield f"| `{field.alias or name}` | {left_out} | {meaning} |"
    yield ""
    for name, field in model.model_fields.items():
        for inner in dict.fromkeys(models_in(field.annotation)):
            about = (inspect.getdoc(inner) or "").splitlines()[0]
            yield from fields(inner, title=f"`{field.alias or name}`: {about[:1].lower()}{about[1:].rstrip('.')}")


def models_in(annotation: Any) -> Iterator[Any]:
    """Yield the models that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from models_in(part)


def shown(value: Any) -> str:
    """Return a default as YAML would have it."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    return json.dumps(list(value) if isinstance(value, tuple | set | frozenset) else value)


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
    "reference/projects.md": project_sections,
    "reference/kinds.md": kind_tables,
    **{f"reference/task-kinds/{name}.md": partial(task_kind_section, name) for name in task_kinds()},
    **{f"reference/connections/{name}.md": partial(connection_section, name) for name in connectors()},
    "errors/index.md": errors_table,
}


def rendered(page: str) -> str:
    """Return what the page should be: its own words down to the mark, then what the code says."""
    path = DOCS / page
    written = path.read_text("utf-8") if path.exists() else f"# `{path.stem}`\n\n{MARK}"
    words, mark, _ = written.partition(MARK)
    assert mark, f"docs/{page} has lost its mark"
    return f"{words}{MARK}\n" + "\n".join(PAGES[page]()).rstrip() + "\n"


def openapi() -> str:
    """Return the OpenAPI document of the HTTP API."""
    from penstock.api.app import create_app

    server: Any = SimpleNamespace(  # nothing of it is used to describe the routes
        jobs=SimpleNamespace(ended=None),
        health=SimpleNamespace(scrape=None),
        settings=SimpleNamespace(embedded=True),
        clock=None,
        bells=None,
    )
    return json.dumps(create_app(server).openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (DOCS / OPENAPI).write_text(openapi(), "utf-8")
    for name in PAGES:
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(rendered(name), "utf-8")
