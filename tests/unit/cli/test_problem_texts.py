"""What is wrong with a project, in words."""

import click

from penstock.cli.problem_texts import problem_lines, show_problem, summary
from penstock.core.projects import Place, ProjectProblem

FILES = {"pipelines/sales.yml": b"tasks:\n  land: { kind: ingset, to: raw.x }\n"}
PROBLEM = ProjectProblem(
    "project_invalid", "there is no task kind 'ingset'", Place("pipelines/sales.yml", 2, 17), "Did you mean 'ingest'?"
)


def said(problem, files):
    return [click.unstyle(line) for line in problem_lines(problem, files)]


def test_a_problem_shows_its_line_with_the_place_marked():
    assert said(PROBLEM, FILES) == [
        "pipelines/sales.yml:2:17: there is no task kind 'ingset' [project_invalid]",
        "    2 |   land: { kind: ingset, to: raw.x }",
        "      |                 ^~~~~~",
        "  hint: Did you mean 'ingest'?",
    ]


def test_a_long_line_is_shown_around_the_place():
    files = {"pipelines/sales.yml": b"\n" + b"x" * 500 + b": " + b"y" * 500}
    problem = ProjectProblem("yaml_invalid", "no", Place("pipelines/sales.yml", 2, 503), "Correct it.")
    line, mark = said(problem, files)[1:3]
    assert len(line) < 140
    assert line[mark.index("^") :].startswith("yyy")
    assert line[mark.index("^") - 1] == " "


def test_a_file_that_is_not_there_has_no_line():
    assert len(said(PROBLEM, {})) == 2


def test_control_characters_of_a_file_do_not_reach_the_terminal():
    files = {"pipelines/sales.yml": b"\n  land: { kind: \x1b[2J }"}
    assert "\x1b[2J" not in "\n".join(problem_lines(PROBLEM, files))


def test_json_has_the_place_in_parts():
    assert show_problem(PROBLEM) | {"message": "", "hint": ""} == {
        "code": "project_invalid",
        "message": "",
        "file": "pipelines/sales.yml",
        "line": 2,
        "column": 17,
        "hint": "",
    }
    assert summary([PROBLEM]) == "1 problem in 1 file"
