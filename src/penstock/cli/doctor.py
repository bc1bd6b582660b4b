"""`penstock doctor`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from penstock import wiring
from penstock.core.scripts import SandboxReport

_LEVELS = {
    "landlock+seccomp": "two kernel layers: Landlock (files, network, signals) and seccomp (system calls)",
    "seccomp": "one kernel layer: seccomp stops every forbidden act; this kernel has no Landlock to stand behind it",
    "none": "not safe: scripts are refused",
}


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(*, as_json: bool) -> None:
    """Say what this machine offers and whether scripts can run safely on it.

    Every act in the list was just tried by a real script process. Exit code 0 only when all were stopped.

    \b
    Examples:
      penstock doctor
      penstock doctor --json | jq .level
    """
    with wiring.laptop() as penstock:
        report = penstock.sandbox.report()
    if as_json:
        click.echo(json.dumps(asdict(report) | {"safe": report.safe}, indent=2))
    else:
        _show(report)
    sys.exit(0 if report.safe else 2)


def _show(report: SandboxReport) -> None:
    click.echo(f"kernel      {report.kernel} on {report.machine}")
    click.echo(f"Landlock    {f'ABI {report.landlock_abi}' if report.landlock_abi else 'not available'}")
    click.echo("seccomp     filter installed")
    click.echo(f"scripts run as uid {report.uid}, without capabilities")
    click.echo(f"level       {report.level}: {_LEVELS[report.level]}\n")
    click.echo("A script that tried to")
    for act in report.acts:
        sign = click.style("stopped", fg="green") if act.stopped else click.style("WORKED ", fg="red", bold=True)
        click.echo(f"  {sign}  {act.name:<30} {act.how}")
    verdict = (
        "Scripts can run safely here." if report.safe else "Scripts cannot run safely here, and Penstock refuses them."
    )
    click.echo("\n" + click.style(verdict, bold=True))
