"""Errors as the terminal shows them: what, what to do, and an exit code."""

import json

import click
import pytest

from penstock.cli.errors import as_json, render
from penstock.core.errors import Bug, InputNotFound, RequestInvalid, SandboxUnavailable, ScriptRejected
from penstock.core.scripts import Problem


def said(error, capsys):
    """The exit code, and the lines on standard error; there is nothing on standard output."""
    code = render(error)
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err.splitlines()


@pytest.mark.parametrize(
    ("error", "code", "slug"),
    [
        (InputNotFound("it is gone", hint="Look."), 2, "input_not_found"),
        (SandboxUnavailable("it is gone", hint="Look."), 75, "sandbox_unavailable"),
        (Bug("it is gone", hint="Look."), 70, "bug"),
    ],
)
def test_an_error_has_two_lines_and_its_exit_code(error, code, slug, capsys):
    assert said(error, capsys) == (code, [f"error: it is gone [{slug}]", "hint: Look."])


def test_a_wrong_command_line_looks_like_any_other_error(capsys):
    code, lines = said(click.UsageError("No such option: --x"), capsys)
    assert (code, lines) == (2, ["error: No such option: --x [usage]", "hint: Run: penstock --help"])


def test_a_wrong_word_of_a_subcommand_leads_to_its_own_help(capsys):
    context = click.Context(
        click.Command("process"),
        info_name="process",
        parent=click.Context(click.Group("penstock"), info_name="penstock"),
    )
    _, lines = said(click.BadParameter("not a number", ctx=context), capsys)
    assert lines[-1] == "hint: Run: penstock process --help"


def test_what_a_tenant_wrote_cannot_steer_the_terminal(capsys):
    _, lines = said(InputNotFound("a\x1b[2Jb\nc", hint="d\x07"), capsys)
    assert lines == [
        "error: a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c [input_not_found]",
        "hint: d\N{REPLACEMENT CHARACTER}",
    ]


def test_every_further_problem_of_a_script_has_its_line(capsys):
    problems = [Problem({"script_line": line, "message": f"problem {line}"}) for line in (1, 5, 9)]
    _, lines = said(ScriptRejected("s.py:1: problem 1", hint="Mend it.", problems=problems), capsys)
    assert lines == [
        "error: s.py:1: problem 1 [script_rejected]",
        "       line 5: problem 5",
        "       line 9: problem 9",
        "hint: Mend it.",
    ]


def test_a_bug_shows_places_and_no_values(capsys):
    try:
        json.loads("my secret data")
    except ValueError as error:
        code, lines = said(error, capsys)
    assert code == 70
    assert lines[0] == "error: JSONDecodeError inside Penstock [bug]"
    assert "decoder.py:" in lines[1]
    assert "secret" not in "".join(lines)


def test_for_programs_an_error_says_whether_to_try_again():
    assert as_json(SandboxUnavailable("gone", hint="Look.")) == {
        "code": "sandbox_unavailable",
        "message": "gone",
        "hint": "Look.",
        "retry": True,
    }
    assert as_json(InputNotFound("gone", hint="Look."))["retry"] is False


def test_every_problem_of_a_request_has_its_place_and_what_was_expected(capsys):
    problems = [
        {"place": "examples.a/0/x", "message": "the output differs", "expected": "1", "got": "2\x1b"},
        {"place": "limits.wall_s", "message": "is too much"},
    ]
    _, lines = said(RequestInvalid("two things are wrong", hint="Mend them.", problems=problems), capsys)
    assert lines[1:-1] == [
        "       examples.a/0/x: the output differs",
        "         expected  1",
        "         got       2\N{REPLACEMENT CHARACTER}",
        "       limits.wall_s: is too much",
    ]


def test_a_problem_that_the_message_says_already_is_not_said_again(capsys):
    problems = [{"place": "limits.wall_s", "message": "is too much"}]
    _, lines = said(RequestInvalid("limits.wall_s: is too much", hint="Mend it.", problems=problems), capsys)
    assert len(lines) == 2


def test_only_so_many_problems_are_listed(capsys):
    problems = [{"place": f"p{number}", "message": "is wrong"} for number in range(25)]
    _, lines = said(RequestInvalid("much is wrong", hint="Mend it.", problems=problems), capsys)
    assert lines[-2] == "       and 15 more"


def test_a_group_without_a_command_shows_its_help(capsys):
    context = click.Context(click.Group("scripts", help="Keep scripts."), info_name="scripts")
    code, lines = said(click.exceptions.NoArgsIsHelpError(context), capsys)
    assert (code, lines[0]) == (2, "Usage: scripts [OPTIONS] COMMAND [ARGS]...")
