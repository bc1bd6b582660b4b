"""`penstock test`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from penstock.base.text import count, duration, harmless
from penstock.cli.place import json_option, project_folder
from penstock.cli.problem_texts import problem_lines, show_problem, summary
from penstock.cli.rows import print_json
from penstock.core.errors import ProjectInvalid, UsageError

if TYPE_CHECKING:
    from penstock.usecases.project_tests import TestOutcome

_FAILED = 2


@click.command(name="test")
@click.argument("names", nargs=-1)
@json_option
def command(*, names: tuple[str, ...], as_json: bool) -> None:
    """Run the tests of the project that one is in, or only those of NAMES: scripts, suites, files of tests.

    The examples in scripts/NAME.yml say what a script gives for some records, or which error. tests/NAME.yml has
    samples for a suite, and says which expectations they do not meet. Everything runs in the sandbox, as in a run. Exit
    code 2 when one fails.

    \b
    Examples:
      penstock test
      penstock test clean
      penstock test expectations/orders.json --json
    """
    from penstock.wiring.folder import project_tests, read_files

    files = read_files(project_folder())
    outcomes: list[TestOutcome] = []
    try:
        with project_tests() as tests:
            for outcome in tests.run(files, only=names):
                outcomes.append(outcome)
                for line in () if as_json else _lines(outcome):
                    click.echo(line)
    except ProjectInvalid as error:
        _say_invalid(error, files, as_json=as_json)
        sys.exit(_FAILED)
    if names and not outcomes:
        raise UsageError(f"no test is of {', '.join(names)}", hint="Run all of them to see their names: penstock test")
    failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        print_json({"ok": not failed, "tests": [_shown(outcome) for outcome in outcomes]})
    elif outcomes:
        said = (
            f"{failed} of {count(len(outcomes), 'test')} failed" if failed else f"{count(len(outcomes), 'test')} passed"
        )
        click.echo(click.style(said, fg="red" if failed else "green", bold=True))
    else:
        click.echo("there are no tests: write examples in scripts/NAME.yml, or samples in tests/NAME.yml", err=True)
    sys.exit(_FAILED if failed else 0)


def _lines(outcome: TestOutcome) -> Iterator[str]:
    sign = click.style("✓", fg="green") if outcome.passed else click.style("✗", fg="red")
    took = f"  {duration(outcome.elapsed_s)}" if outcome.elapsed_s >= 1 else ""
    yield f"{sign} {harmless(outcome.subject)}  {harmless(outcome.name)}{took}"
    for problem in outcome.problems:
        place = f"{harmless(problem['place'])}: " if problem.get("place") else ""
        yield f"    {place}{harmless(problem['message'])}"
        for name in ("expected", "got"):
            if problem.get(name):
                yield f"      {name:<9} {harmless(problem[name])}"


def _shown(outcome: TestOutcome) -> dict[str, Any]:
    return {
        "subject": outcome.subject,
        "name": outcome.name,
        "passed": outcome.passed,
        "problems": [dict(problem) for problem in outcome.problems],
        "elapsed_s": round(outcome.elapsed_s, 3),
    }


def _say_invalid(error: ProjectInvalid, files: Any, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": False, "problems": [show_problem(problem) for problem in error.problems]})
        return
    for problem in error.problems:
        for line in problem_lines(problem, files):
            click.echo(line)
    click.echo(click.style(summary(error.problems), fg="red", bold=True))
