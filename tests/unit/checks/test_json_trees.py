"""JSON with places: the values are those of `json.loads`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.checks.json_trees import json_path, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 1, 4]), st.booleans())
def test_values_are_those_of_json(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    try:
        content = text.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates has no bytes
        return
    tree = read_json("x.json", content)
    assert tree.problems == []
    assert tree.value == json.loads(text)


def test_every_value_and_name_has_its_place():
    tree = read_json("x.json", b'{\n  "a": [1,\n    {"b": true}]\n}')
    assert str(tree.places[("a", 1, "b")]) == "x.json:3:11"
    assert str(tree.keys[("a", 1, "b")]) == "x.json:3:6"
    assert str(tree.places[("a", 0)]) == "x.json:2:9"


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b'{"a": }', "1:7", "a value was expected"),
        (b'{"a": 1,}', "1:9", "a name in double quotes was expected"),
        (b'{"a" 1}', "1:6", "a colon was expected"),
        (b"[1 2]", "1:4", "a comma or ] was expected"),
        (b'{\n"a": "x\n"}', "2:8", "invalid control character"),
        (b'{"a": "x', "1:7", "unterminated string"),
        (b"{} {}", "1:4", "something follows the end"),
        (b"", "1:1", "a value was expected"),
        (b"[01]", "1:3", "a comma or ] was expected"),
        (b"[NaN]", "1:2", "a value was expected"),
        (b"\xff", "1:1", "not UTF-8"),
        (b"[" * 100, "1:66", "more than 64 levels"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(content, place, words):
    (problem,) = read_json("x.json", content).problems
    assert str(problem.place) == f"x.json:{place}"
    assert words in problem.message


def test_a_name_that_stands_twice_is_told():
    (problem,) = read_json("x.json", b'{"a": 1,\n "a": 2}').problems
    assert str(problem.place) == "x.json:2:2"
    assert "'a' stands here twice; it was first given in line 1" in problem.message


def test_paths_are_written_as_jsonpath_has_them():
    assert json_path(("expectations", 3, "kwargs", "odd name")) == "$.expectations[3].kwargs['odd name']"
