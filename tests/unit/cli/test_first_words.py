"""What commands make of their first words, and of words that are missing."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from penstock.cli.login import command as login
from penstock.cli.tables import command as tables
from penstock.core.errors import UsageError


@pytest.mark.parametrize(
    ("before", "words", "name", "rest"),
    [
        ([], ["marts.daily", "--json"], "show", ["marts.daily", "--json"]),
        ([], ["daily"], "show", ["daily"]),
        (["--server"], ["marts.daily"], "show", ["--server", "marts.daily"]),
        (["--json", "--server"], ["show", "marts.daily"], "show", ["--server", "--json", "marts.daily"]),
        ([], ["maintain"], "maintain", []),
    ],
)
def test_a_table_may_be_named_at_once_and_options_before_it_hold(before, words, name, rest):
    with tables.make_context("tables", [*before, *words]) as context:
        found, _, left = tables.resolve_command(context, words)
    assert (found, left) == (name, rest)


def test_login_without_a_token_and_a_terminal_says_what_to_give():
    said = CliRunner().invoke(login, ["--url", "http://127.0.0.1:9"], input="")
    assert isinstance(said.exception, UsageError)
    assert said.exception.hint == "Run: penstock login --token pt_..."
