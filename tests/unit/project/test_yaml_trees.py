"""YAML as plain values, with the place of every one of them."""

import pytest

from penstock.project.yaml_trees import read_yaml


def problems_of(content):
    return [(str(problem.place), problem.message) for problem in read_yaml("a.yml", content).problems]


def test_scalars_are_what_json_would_make_of_them_and_no_more():
    text = b"[no, yes, 04:00, 2026-01-31, 1_000, 0x10, 012, 1.5, -3, 1e3, true, false, null, ~, '1', \"true\"]"
    assert read_yaml("a.yml", text).value == [
        "no", "yes", "04:00", "2026-01-31", "1_000", "0x10", "012", 1.5, -3, 1000.0, True, False, None, None, "1",
        "true",
    ]  # fmt: skip


def test_every_value_and_every_name_knows_its_place():
    tree = read_yaml("a.yml", b"one:\n  two: [1,\n    {three: 3}]\n")
    assert str(tree.place(("one", "two", 1, "three"))) == "a.yml:3:13"
    assert str(tree.key_place(("one", "two", 1, "three"))) == "a.yml:3:6"
    assert str(tree.place(("one", "missing", "deeper"))) == "a.yml:2:3"


def test_aliases_are_followed():
    assert read_yaml("a.yml", b"a: &x {b: 1}\nc: *x\n").value == {"a": {"b": 1}, "c": {"b": 1}}


def test_an_empty_file_is_nothing_and_a_byte_order_mark_is_no_value():
    assert read_yaml("a.yml", b"").value is None
    assert read_yaml("a.yml", b"\xef\xbb\xbfa: 1").value == {"a": 1}


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b"a: 1\nb: {x: 1, x: 2}\n", "a.yml:2:11", "'x' stands here twice; it was first given in line 2"),
        (b"a: [1\nb: 2", "a.yml:2:2", "a list is open"),
        (b"a: 1\n  b: 2", "a.yml:2:4", "a colon stands where none can"),
        (b"a: \xff", "a.yml:1:4", "not UTF-8"),
        (b"a: *nobody", "a.yml:1:4", "nothing has the name of this alias"),
        (b"{[1]: 2}", "a.yml:1:2", "a name is text"),
        (b"a: !!python/object/apply:os.system ['true']\nb: @", "a.yml:2:4", "text cannot begin with this sign"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(content, place, words):
    ((found_place, message),) = problems_of(content)
    assert found_place == place
    assert words in message


def test_tags_make_no_objects():
    assert read_yaml("a.yml", b"a: !!python/object/apply:os.system ['true']").value == {"a": ["true"]}


def test_a_file_that_stands_for_itself_a_thousandfold_ends():
    lines = [b"a0: &a0 [x, x]"] + [b"a%d: &a%d [*a%d, *a%d]" % (n, n, n - 1, n - 1) for n in range(1, 40)]
    assert "too large" in problems_of(b"\n".join(lines))[0][1]
    deep = b"[" * 200 + b"]" * 200
    assert "too deeply" in problems_of(deep)[0][1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: '" + b"x" * 2**20 + b"'", "at most"),
        (b"[" * 51 + b"]" * 51, "at most 50 levels"),
        (b"{a: &a 1, b: [" + b"*a," * 101 + b"]}", "more than 100 aliases"),
        (b"a: [" + b"1," * 100_001 + b"]", "at most 100,000 values"),
        (b"a: &a [*a]", "at most 50 levels"),
        (b"a: " + b"9" * 5_000, "a number has 5,000 digits"),
    ],
)
def test_a_file_is_bounded_before_it_is_built(content, words):
    ((place, message),) = problems_of(content)
    assert place.startswith("a.yml:1:")
    assert words in message
