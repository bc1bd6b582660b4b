"""Tests of suites, as a project says them."""

from penstock.project.suite_tests import suite_tests

SUITE = {"expectations/orders.json": b"{}", "data/day.csv": b"a\n1\n"}


def read(text: str):
    return suite_tests({**SUITE, "tests/orders.yml": text.encode()})


def test_samples_are_rows_or_a_file():
    found, problems = read(
        "suite: expectations/orders.json\nsamples:\n- {name: a, rows: [{x: 1}]}\n- {name: b, file: data/day.csv}\n"
    )
    assert not problems
    assert [sample.name for sample in found[0].model.samples] == ["a", "b"]
    assert found[0].places[1].line == 4


def test_everything_that_is_wrong_is_said_with_its_place():
    _, problems = read(
        "suite: expectations/order.json\n"
        "samples:\n"
        "- {name: a}\n"
        "- {name: b, rows: [], file: data/day.csv}\n"
        "- {name: c, file: data/day.xls}\n"
    )
    assert [(problem.place.line, problem.message.partition(":")[0]) for problem in problems] == [
        (1, "suite"),
        (3, "the sample 'a' has rows, or a file that has them"),
        (4, "the sample 'b' has rows, or a file that has them"),
        (5, "file"),
    ]
    assert "Did you mean 'expectations/orders.json'?" in problems[0].hint


def test_what_is_not_known_is_a_problem_and_other_files_are_none():
    _, problems = read("suite: expectations/orders.json\nsamples: [{name: a, row: []}]\n")
    assert "'row' is not known here" in problems[0].message
    assert suite_tests({"tests/deep/x.yml": b"?", "tests/readme.md": b"", "other/x.yml": b"?"}) == ([], [])
