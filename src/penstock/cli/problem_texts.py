"""What is wrong with a project, in words for a terminal: each problem with the line it stands in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from penstock.base.text import harmless
from penstock.core.projects import ProjectProblem

_WORD: Final = re.compile(r"[^\s,:{}\[\]]+")
_BEFORE: Final = 60  # characters of a long line that are shown before the place, and after it
_AFTER: Final = 50


def problem_lines(problem: ProjectProblem, files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield a problem: its place, what is wrong, the line with the place marked, and what to do."""
    place = problem.place
    where = click.style(harmless(str(place)), bold=True)
    yield f"{where}: {harmless(problem.message)} [{problem.code}]"
    yield from _excerpt(files.get(place.file), place.line, place.column)
    yield f"  {click.style('hint:', fg='cyan')} {harmless(problem.hint)}"


def show_problem(problem: ProjectProblem) -> dict[str, Any]:
    """Return a problem for --json."""
    return {
        "code": problem.code,
        "message": problem.message,
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "hint": problem.hint,
    }


def summary(problems: Sequence[ProjectProblem]) -> str:
    """Return how much is wrong."""
    files = len({problem.place.file for problem in problems})
    return f"{len(problems):,} problem{'' if len(problems) == 1 else 's'} in {files} file{'' if files == 1 else 's'}"


def _excerpt(content: bytes | None, line: int, column: int) -> Iterator[str]:
    lines = (content or b"").decode("utf-8-sig", "replace").splitlines()
    if not 1 <= line <= len(lines):
        return
    text = lines[line - 1].replace("\t", " ")
    start = max(0, column - 1 - _BEFORE)
    shown = harmless(text[start : column + _AFTER])
    found = _WORD.match(text, column - 1)
    length = min(len(found[0]) if found else 1, max(1, len(shown) - (column - 1 - start)))
    margin = f"{line:>5} | "
    mark = "^" + "~" * (length - 1)
    yield f"{click.style(margin, fg='bright_black')}{'...' if start else ''}{shown}"
    blank = " " * (len(margin) - 2) + "| "
    shift = " " * (column - 1 - start + (3 if start else 0))
    yield f"{click.style(blank, fg='bright_black')}{shift}{click.style(mark, fg='red', bold=True)}"
