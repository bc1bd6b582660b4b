"""Hints of a server: their commands go to that server."""

import click
import pytest

from penstock.cli.main import cli
from penstock.core.hints import BOTH, for_server, with_server_hints


@pytest.mark.parametrize(
    ("hint", "there"),
    [
        ("Run: penstock resume run_1", "Run: penstock resume --server run_1"),
        (
            'See why: penstock query "SELECT 1". Then run it again: penstock run --again',
            'See why: penstock query --server "SELECT 1". Then run it again: penstock run --server --again',
        ),
        ("See: penstock tables marts.daily", "See: penstock tables show --server marts.daily"),
        ("See: penstock tables", "See: penstock tables --server"),
        ("Pause it: penstock schedules pause sales", "Pause it: penstock schedules pause --server sales"),
        ("See: penstock status run_1 --server", "See: penstock status run_1 --server"),
        ("Run: penstock run-task", "Run: penstock run-task"),
        ("See: penstock quota", "See: penstock quota"),
    ],
)
def test_a_command_of_both_places_says_that_it_means_the_server(hint, there):
    assert for_server(hint) == there


def test_all_commands_that_know_a_server_are_known():
    assert set(_with_server(cli, "")) == set(BOTH)


def test_a_run_s_own_error_and_those_of_its_tasks_have_hints_of_the_server():
    error = {"code": "x", "hint": "Run: penstock resume last", "resume": "penstock resume run_1"}
    shown = with_server_hints({"error": error, "tasks": [{"error": error}, {"error": None}]})
    told = {"code": "x", "hint": "Run: penstock resume --server last", "resume": "penstock resume --server run_1"}
    assert shown == {"error": told, "tasks": [{"error": told}, {"error": None}]}
    assert error["hint"] == "Run: penstock resume last"


def _with_server(command, name):
    if any(parameter.name == "server" for parameter in command.params):
        yield name.strip()
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            yield from _with_server(command.get_command(context, each), f"{name} {each}")
