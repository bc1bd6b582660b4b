"""Which files can be those of a project."""

import pytest

from penstock.core import limits
from penstock.core.errors import RequestInvalid, TooLarge
from penstock.core.project_files import changes, check_project_files


def test_paths_downwards_are_fine():
    check_project_files({"penstock.yml": b"name: x", "scripts/naïve name.py": b"", "a/b/c.sql": b""})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/passwd", "downwards"),
        ("../x.sql", "downwards"),
        ("a/../../x", "downwards"),
        ("a//b", "downwards"),
        ("./a", "downwards"),
        ("", "downwards"),
        ("a\\b", "characters"),
        ("a\nb", "characters"),
        ("a\x00b", "characters"),
        ("a\ud800b", "characters"),
        (".penstock/local/x", "not part"),
        (".git/config", "not part"),
        ("a" * 241, "longer than 240"),
        ("penstock.yml/x", "folder that is a file"),
    ],
)
def test_every_other_path_is_named(name, words):
    with pytest.raises(RequestInvalid) as refused:
        check_project_files({"penstock.yml": b"", name: b""})
    assert [words in problem["message"] for problem in refused.value.problems] == [True]


def test_more_than_a_project_has_is_refused_with_what_is_largest():
    with pytest.raises(TooLarge, match="the largest are data/big"):
        check_project_files({"penstock.yml": b"x", "data/big.csv": bytes(limits.PROJECT_BYTES.value * 2**20)})
    with pytest.raises(TooLarge, match="5,000 files"):
        check_project_files({f"f{number}": b"" for number in range(limits.PROJECT_FILES.value + 1)})


def test_what_differs_between_two_states_is_named():
    before = {"a": b"1", "b": b"1", "c": b"1"}
    assert changes(before, {"a": b"1", "b": b"2", "d": b""}) == {"added": ["d"], "changed": ["b"], "removed": ["c"]}
