"""`python -m benchmarks`: measures what is promised, beside its peers, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from benchmarks import machine, rendering, rows
from benchmarks.running import run

BASELINE: Final = Path(__file__).with_name("BASELINE.md")


@click.command(epilog=f"Benchmarks: {', '.join(rows.discover())}.")
@click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(list(rows.discover())))
@click.option("--quick", is_flag=True, help="Seconds instead of minutes: shows that it works, measures nothing.")
@click.option("--json", "json_path", metavar="FILE", type=click.Path(path_type=Path), help="Write the figures as JSON.")
@click.option("--baseline", is_flag=True, help="Write the rows into BASELINE.md; others stay as they were.")
def main(*, names: tuple[str, ...], quick: bool, json_path: Path | None, baseline: bool) -> None:
    """Measure NAMEs, or everything: up to an hour on a machine that has nothing else to do."""
    if baseline and quick:
        raise click.UsageError("--baseline takes rows at full length")
    described = machine.describe()
    measured = []
    for row in run(names, quick=quick):
        click.echo(f"{row.name}: {row.elapsed_s:.0f} s", err=True)
        measured.append(row)
    rendering.show(described, measured)
    if json_path:
        json_path.write_text(rendering.as_json(described, measured), "utf-8")
    if baseline:
        rendering.write_baseline(BASELINE, described, measured, order=[row.TITLE for row in rows.discover().values()])


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
