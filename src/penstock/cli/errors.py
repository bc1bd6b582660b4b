"""Errors as the terminal shows them: `error:` and `hint:` on standard error, and an exit code."""

from __future__ import annotations

import traceback
from typing import Final

import click

from penstock.base.text import harmless
from penstock.core.errors import Bug, PenstockError, RequestInvalid, ScriptRejected, UsageError

_PROBLEMS_SHOWN: Final = 10


def render(error: Exception) -> int:
    """Print an error for the person at the terminal, and return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    if isinstance(error, click.ClickException):
        error = _usage_error(error)
    if not isinstance(error, PenstockError):
        _render_bug(error)
        return Bug.exit_code
    click.echo(f"{click.style('error:', fg='red', bold=True)} {harmless(error.message)} [{error.code}]", err=True)
    if isinstance(error, ScriptRejected):
        for problem in error.problems[1:]:
            click.echo(f"       line {problem['script_line']}: {harmless(str(problem['message']))}", err=True)
    if isinstance(error, RequestInvalid):
        _render_problems(error)
    click.echo(f"{click.style('hint:', fg='cyan', bold=True)} {harmless(error.hint)}", err=True)
    return error.exit_code


def _render_problems(error: RequestInvalid) -> None:
    for problem in error.problems[:_PROBLEMS_SHOWN]:
        if len(error.problems) == 1 and problem["message"] in error.message:
            return  # it has just been said
        click.echo(f"       {harmless(problem['place'])}: {harmless(problem['message'])}", err=True)
        for name in ("expected", "got"):
            if name in problem:
                click.echo(f"         {name:<9} {harmless(problem[name])}", err=True)
    if len(error.problems) > _PROBLEMS_SHOWN:
        click.echo(f"       and {len(error.problems) - _PROBLEMS_SHOWN:,} more", err=True)


def as_json(error: PenstockError) -> dict[str, object]:
    """Return an error for --json."""
    return {"code": error.code, "message": error.message, "hint": error.hint, "retry": error.exit_code == 75}


def _usage_error(error: click.ClickException) -> UsageError:
    """Return a wrong command line as an error of our own, so that all errors look the same."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "penstock"
    return UsageError(error.format_message(), hint=f"Run: {path} --help")


def _render_bug(error: Exception) -> None:
    # Places only: the text of a foreign exception may hold a row's values.
    places = [
        f"{frame.filename.rpartition('penstock/')[2]}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    click.echo(f"{click.style('error:', fg='red', bold=True)} {type(error).__name__} inside Penstock [bug]", err=True)
    click.echo(f"       at {' < '.join(reversed(places[-6:]))}", err=True)
    click.echo(f"{click.style('hint:', fg='cyan', bold=True)} Report this line; nothing was written.", err=True)
