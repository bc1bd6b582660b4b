"""`penstock check`."""

from __future__ import annotations

import json
import sys

import click

from penstock.base.text import count, harmless
from penstock.cli.options import script_argument, script_options
from penstock.core.scripts import ScriptVersion
from penstock.wiring.laptop import laptop


@click.command(name="check")
@script_argument
@script_options
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
def command(*, script: ScriptVersion, as_json: bool) -> None:
    """Say what would keep SCRIPT from running, before any data is read.

    It is compiled in the sandbox; none of it runs. Exit code 0 when nothing was found, else 2.

    \b
    Examples:
      penstock check clean.py
      penstock check features.py --profile arrow
    """
    from penstock.usecases.scripts import check_script

    with laptop() as penstock:
        problems = check_script(script, sandbox=penstock.sandbox)
    if as_json:
        click.echo(json.dumps({"script": script.name, "ok": not problems, "problems": problems}, indent=2))
    else:
        hint = None
        for problem in problems:
            place = ":".join(str(part) for part in (script.name, problem["script_line"], problem.get("column")) if part)
            click.echo(f"{place}: {harmless(str(problem['message']))} [{problem['code']}]")
            if problem["hint"] != hint:
                hint = problem["hint"]
                click.echo(f"  {click.style('hint:', fg='cyan')} {hint}")
        click.echo(f"{script.name}: " + (count(len(problems), "problem") if problems else "can run"))
    sys.exit(2 if problems else 0)
