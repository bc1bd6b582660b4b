"""The table, on a terminal, in Markdown and in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Row, number

BEGIN: Final = "<!-- What follows, up to the next mark, is written by `python -m benchmarks --baseline`. -->\n"
END: Final = "<!-- What follows is written by hand. -->\n"
_REACHED: Final = {True: "yes", False: "no", None: ""}


def show(machine: dict[str, str], rows: Sequence[Row]) -> None:
    """Print the machine and the table."""
    console = Console(soft_wrap=False)
    table = Table(caption="; ".join(machine.values()), caption_justify="left")
    for column, justify in {"figure": "left", "measured": "right", "aim": "right", "reached": "left"}.items():
        table.add_column(column, justify=justify, no_wrap=column != "figure")  # type: ignore[arg-type]  # a literal
    table.add_column("beside")
    for row in rows:
        table.add_row(f"[bold]{row.title}[/bold]", "", "", "", _noise(row))
        for figure in row.figures:
            colour = {True: "green", False: "red", None: ""}[figure.reached]
            name, measured, aim, reached, peer = _cells(figure)
            table.add_row(f"  {name}", measured, aim, f"[{colour}]{reached}[/]" if colour else "", peer)
    console.print(table)


def as_json(machine: dict[str, str], rows: Sequence[Row]) -> str:
    """Return everything as JSON."""
    listed = []
    for row in rows:
        figures = [asdict(figure) | {"reached": figure.reached} for figure in row.figures]
        listed.append(asdict(row) | {"figures": figures})
    return json.dumps({"machine": machine, "rows": listed}, indent=2) + "\n"


def write_baseline(path: Path, machine: dict[str, str], rows: Sequence[Row]) -> None:
    """Put the machine and the table into a page, in place of what stood between its marks."""
    before, _, rest = path.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text("".join([before, BEGIN, *_markdown(machine, rows), END, after]), "utf-8")


def _markdown(machine: dict[str, str], rows: Sequence[Row]) -> Iterator[str]:
    yield "\n| | |\n|---|---|\n"
    yield from (f"| {name} | {value} |\n" for name, value in machine.items())
    yield "\n| figure | measured | aim | reached | beside |\n|---|---|---|---|---|\n"
    for row in rows:
        yield f"| **{row.title}** | | | | *{_noise(row)}* |\n"
        yield from (f"| {' | '.join(_cells(figure))} |\n" for figure in row.figures)
    yield "\n## How each row is measured\n\n"
    for row in rows:
        yield f"**{row.title}.** {' '.join(row.method.split())}\n\n"


def _cells(figure: Figure) -> list[str]:
    measured = f"{number(figure.value)} {figure.unit}"
    return [figure.name, measured, figure.aim, _REACHED[figure.reached], figure.peer]


def _noise(row: Row) -> str:
    noise = row.noise
    return f"load {noise.load_before:.1f} -> {noise.load_after:.1f}, {noise.stolen:.1%} stolen, {row.elapsed_s:.0f} s"
