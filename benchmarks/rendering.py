"""The table, on a terminal, in Markdown and in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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


def write_baseline(path: Path, machine: dict[str, str], rows: Sequence[Row], *, order: Sequence[str] = ()) -> None:
    """Put the machine and the rows into a page, between its marks; a row that was not measured now stays as it was.

    Args:
        path: of the page.
        machine: what can change a figure, in words.
        rows: what was measured.
        order: the titles of all rows there are; those of rows that are gone leave the page.
    """
    before, _, rest = path.read_text("utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    blocks = _blocks(table) | {row.title: _block(row, machine.get("date", "")) for row in rows}
    titles = [title for title in (order or blocks) if title in blocks]
    page = [before, BEGIN, *_markdown(machine, [blocks[title] for title in titles]), END, after]
    path.write_text("".join(page), "utf-8")


@dataclass(frozen=True, slots=True)
class Block:
    """What a page says of one row: lines of the table, and how it is measured."""

    lines: str
    method: str


def _block(row: Row, date: str) -> Block:
    head = f"| **{row.title}** | | | | *{', '.join(filter(None, [date, _noise(row)]))}* |\n"
    lines = head + "".join(f"| {' | '.join(_cells(figure))} |\n" for figure in row.figures)
    return Block(lines, f"**{row.title}.** {' '.join(row.method.split())}\n\n")


def _blocks(table: str) -> dict[str, Block]:
    """Return what a page says now, by title."""
    lines = re.finditer(r"^\| \*\*(.+?)\*\* \|.*\n(?:\| (?!\*\*).*\n)*", table, re.MULTILINE)
    methods = dict(re.findall(r"^(\*\*(?:.+?)\.\*\*) (.*)\n", table, re.MULTILINE))
    return {block[1]: Block(block[0], f"**{block[1]}.** {methods.get(f'**{block[1]}.**', '')}\n\n") for block in lines}


def _markdown(machine: dict[str, str], blocks: Sequence[Block]) -> Iterator[str]:
    yield "\n| | |\n|---|---|\n"
    yield from (f"| {name} | {value} |\n" for name, value in machine.items() if name != "date")
    yield "\n| figure | measured | aim | reached | beside |\n|---|---|---|---|---|\n"
    yield from (block.lines for block in blocks)
    yield "\n## How each row is measured\n\n"
    yield from (block.method for block in blocks)


def _cells(figure: Figure) -> list[str]:
    measured = f"{number(figure.value)} {figure.unit}"
    return [figure.name, measured, figure.aim, _REACHED[figure.reached], figure.peer]


def _noise(row: Row) -> str:
    noise = row.noise
    return f"load {noise.load_before:.1f} -> {noise.load_after:.1f}, {noise.stolen:.1%} stolen, {row.elapsed_s:.0f} s"
