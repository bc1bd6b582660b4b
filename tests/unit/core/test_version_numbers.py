"""Numbers sort as semver.org says, and ranges hold what npm's do."""

import pytest

from penstock.core.errors import RequestInvalid
from penstock.core.version_numbers import Number, Range, next_number, parse_asked, parse_number


@pytest.mark.parametrize("text", ["0.0.0", "1.2.3", "10.20.30", "1.0.0-rc.1", "1.0.0-0"])
def test_a_number_is_read_and_written_alike(text):
    assert str(parse_number(text)) == text


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.2.3+build", "1.2.-3", "1.2.3-", "١.2.3", "x" * 500]
)
def test_what_is_no_number_is_refused_with_an_example(text):
    with pytest.raises(RequestInvalid) as refused:
        parse_number(text)
    assert "1.2.0" in refused.value.hint
    assert len(refused.value.message) < 150


def test_numbers_sort_as_semver_org_has_it():
    texts = [
        "1.0.0-1",
        "1.0.0-2",
        "1.0.0-10",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-beta",
        "1.0.0",
        "1.0.1",
        "1.2.0",
        "1.10.0",
        "2.0.0",
    ]
    assert sorted(set(texts), key=lambda text: parse_number(text).order()) == texts


@pytest.mark.parametrize(
    ("asked", "inside", "outside"),
    [
        ("^1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0"]),
        ("^1.2.3", ["1.2.3", "1.3.0"], ["1.2.2", "2.0.0"]),
        ("^0.2", ["0.2.0", "0.2.9"], ["0.3.0", "1.0.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.2", "0.0.4"]),
        ("^0", ["0.0.1", "0.9.0"], ["1.0.0"]),
        ("~1.2", ["1.2.0", "1.2.9"], ["1.1.9", "1.3.0"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3.0"]),
        ("~1", ["1.0.0", "1.9.0"], ["0.9.0", "2.0.0"]),
        ("1.x", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]),
        ("1.2.*", ["1.2.0", "1.2.9"], ["1.3.0"]),
        ("1", ["1.0.0", "1.9.9"], ["2.0.0"]),
        ("*", ["0.0.0", "9.9.9"], []),
        ("=1.2.3", ["1.2.3"], ["1.2.2", "1.2.4"]),
        (">=1.2 <2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0"]),
        (">= 1.2, < 2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        (">1.2.3", ["1.2.4"], ["1.2.3"]),
        ("<=1.2", ["1.2.9", "0.1.0"], ["1.3.0"]),
        ("<1.2", ["1.1.9"], ["1.2.0"]),
        (">2 <1", [], ["1.5.0", "0.5.0", "3.0.0"]),
    ],
)
def test_a_range_holds(asked, inside, outside):
    wanted = parse_asked(asked)
    assert isinstance(wanted, Range)
    assert [text for text in inside if not wanted.has(parse_number(text))] == []
    assert [text for text in outside if wanted.has(parse_number(text))] == []


def test_no_range_holds_a_pre_release():
    wanted = parse_asked("^1.0")
    assert isinstance(wanted, Range)
    assert not wanted.has(parse_number("1.2.0-rc.1"))


def test_a_full_number_and_active_are_no_ranges():
    assert parse_asked("active") is None
    assert parse_asked(" 1.2.3 ") == Number((1, 2, 3))
    assert parse_asked("1.2.3-rc.1") == Number((1, 2, 3), "rc.1")


@pytest.mark.parametrize(
    "text",
    ["", " ", "latest", "^", ">=", "1.2.3.4", "1.2 ||", "1 || 2", ">=1,,<2", ">=1,", "^1.2x", "^١.2", "1." * 100],
)
def test_what_names_no_version_is_refused_with_what_would(text):
    with pytest.raises(RequestInvalid) as refused:
        parse_asked(text)
    assert "^1.2" in refused.value.hint
    assert len(refused.value.message) < 150


def test_the_next_number_is_the_highest_one_s_next_patch():
    assert next_number([]) == "1.0.0"
    assert next_number(["1.0.0", "1.10.0", "1.9.5"]) == "1.10.1"
    assert next_number(["2.0.0-rc.1"]) == "2.0.1"
