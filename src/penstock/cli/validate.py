"""`penstock validate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from penstock.base.text import count
from penstock.cli.place import MANIFEST, json_option, project_folder
from penstock.cli.problem_texts import problem_lines, show_problem, summary
from penstock.cli.rows import print_json
from penstock.core.errors import ProjectInvalid

if TYPE_CHECKING:
    from penstock.core.projects import Project

_SCHEMAS: Final = Path(".penstock", "schemas")
_INVALID: Final = 2


@click.command(name="validate")
@click.option("--schema", is_flag=True, help="Write JSON Schemas for editors, and print the line that names them.")
@json_option
def command(*, schema: bool, as_json: bool) -> None:
    """Check the project that one is in: every problem at once, with its place, what would be valid, and what to do.

    Nothing runs and nothing outside is asked. Exit code 0 when nothing is wrong, else 2.

    \b
    Examples:
      penstock validate
      penstock validate --json | jq -r '.problems[] | "\\(.file):\\(.line): \\(.message)"'
      penstock validate --schema
    """
    from penstock.wiring.folder import check_files, read_files

    folder = project_folder()
    if schema:
        _write_schemas(folder, as_json=as_json)
        return
    files = read_files(folder)
    try:
        project = check_files(files)
    except ProjectInvalid as error:
        if as_json:
            print_json({"ok": False, "problems": [show_problem(problem) for problem in error.problems]})
        else:
            for problem in error.problems:
                for line in problem_lines(problem, files):
                    click.echo(line)
            click.echo(click.style(summary(error.problems), fg="red", bold=True))
        sys.exit(_INVALID)
    _say_valid(project, as_json=as_json)


def _say_valid(project: Project, *, as_json: bool) -> None:
    tasks = sum(len(pipeline.tasks) for pipeline in project.pipelines.values())
    if as_json:
        found: dict[str, Any] = {"ok": True, "problems": [], "project": project.name, "revision": project.revision}
        print_json({**found, "pipelines": sorted(project.pipelines), "tasks": tasks, "files": len(project.files)})
        return
    pipelines = count(len(project.pipelines), "pipeline")
    click.echo(
        f"{project.name}: {pipelines}, {count(tasks, 'task')}, {count(len(project.files), 'file')}: nothing is wrong"
    )


def _write_schemas(folder: Path, *, as_json: bool) -> None:
    from penstock.wiring.folder import schemas

    place = folder / _SCHEMAS
    place.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, schema in schemas().items():
        (place / name).write_bytes(orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
        written[name] = str(_SCHEMAS / name)
    if as_json:
        print_json({"schemas": written})
        return
    click.echo(f"{_SCHEMAS}: {', '.join(written)}. Editors with a YAML language server follow these first lines:")
    click.echo(f"  {MANIFEST:<20} # yaml-language-server: $schema={_SCHEMAS}/penstock.json")
    click.echo(f"  {'pipelines/*.yml':<20} # yaml-language-server: $schema=../{_SCHEMAS}/pipeline.json")
