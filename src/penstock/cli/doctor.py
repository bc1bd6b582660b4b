"""`penstock doctor`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import get_args

import click

from penstock.core.engines import EngineReport
from penstock.core.scripts import Act, Profile, SandboxReport
from penstock.usecases.health import disk_low
from penstock.wiring.laptop import laptop
from penstock.wiring.settings import read_settings

_LEVELS = {
    "landlock+seccomp": "two kernel layers: Landlock (files, network, signals) and seccomp (system calls)",
    "seccomp": "one kernel layer: seccomp stops every forbidden act; this kernel has no Landlock to stand behind it",
    "none": "not safe: scripts are refused",
}
_VERDICTS = {
    True: "Scripts can run safely here.",
    False: "Scripts cannot run safely here, and Penstock refuses them.",
}


@click.command(name="doctor")
@click.option("--profile", type=click.Choice(get_args(Profile)), help="Look at one profile only.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(*, profile: Profile | None, as_json: bool) -> None:
    """Say what this machine offers and whether scripts can run safely on it.

    Every act in the tables was just tried by a real script process of each profile, and by a real engine. Exit code 0
    only when all were stopped. A machine without Landlock is safe for scripts, and refuses engines. A disk that is
    nearly full is named when PENSTOCK_HOME, the blobs or the tables lie on it; of a server, GET /health says it, too.

    \b
    Examples:
      penstock doctor
      penstock doctor --profile arrow
      penstock doctor --json | jq .level
    """
    profiles: tuple[Profile, ...] = (profile,) if profile else get_args(Profile)
    with laptop() as penstock:
        for name in profiles:  # all of them start while the first is looked at
            penstock.sandbox.start(name)
        reports = {name: penstock.sandbox.report(name) for name in profiles}
        engines = None if profile else penstock.engines.report()
    room = disk_low(read_settings(os.environ).folders)
    safe = all(report.safe for report in reports.values()) and (engines is None or not engines.acts or engines.safe)
    if as_json:
        click.echo(
            json.dumps(
                _as_json(reports, engines) | {"disk_low": room and f"{room[1]} in {room[0]}", "safe": safe}, indent=2
            )
        )
    else:
        _show(reports)
        if room is not None:
            click.echo(
                "\n" + click.style(f"A disk is nearly full: {room[1]} in {room[0]}. Make room there.", fg="yellow")
            )
        if engines is not None:
            _show_engines(engines)
        click.echo("\n" + click.style(_VERDICTS[safe], bold=True))
    sys.exit(0 if safe else 2)


def _as_json(reports: dict[Profile, SandboxReport], engines: EngineReport | None) -> dict[str, object]:
    """Return the first profile's report, below it every profile's, and that of engines where they were looked at."""
    each = {name: asdict(report) | {"safe": report.safe} for name, report in reports.items()}
    said = {} if engines is None else {"engines": asdict(engines) | {"safe": engines.safe}}
    return next(iter(each.values())) | {"profiles": each} | said


def _show(reports: dict[Profile, SandboxReport]) -> None:
    report = next((each for each in reports.values() if not each.safe), next(iter(reports.values())))
    click.echo(f"kernel      {report.kernel} on {report.machine}")
    click.echo(f"Landlock    {f'ABI {report.landlock_abi}' if report.landlock_abi else 'not available'}")
    click.echo("seccomp     filter installed")
    click.echo(f"scripts run as uid {report.uid}, without capabilities")
    click.echo(f"level       {report.level}: {_LEVELS[report.level]}\n")
    click.echo(f"{'A script that tried to':<30}" + "".join(f"  {name:<7}" for name in reports))
    for acts in zip(*(each.acts for each in reports.values()), strict=True):
        ways = dict.fromkeys(act.how for act in acts)
        click.echo(f"  {acts[0].name:<28}" + "".join(map(_sign, acts)) + f"  {' / '.join(ways)}")


def _show_engines(report: EngineReport) -> None:
    if report.refused:
        click.echo(f"\nEngines (SQL) are refused here: {report.refused}")
        return
    click.echo("\nAn engine (SQL) that tried to")
    for act in report.acts:
        click.echo(f"  {act.name:<40}{_sign(act)}  {act.how}")


def _sign(act: Act) -> str:
    return "  " + (click.style("stopped", fg="green") if act.stopped else click.style("WORKED ", fg="red", bold=True))
