"""A fingerprint is the same for the same content, and another for any other."""

from dataclasses import dataclass

import pytest

from penstock.base.hashing import fingerprint


@dataclass(frozen=True, slots=True)
class Point:
    x: object
    y: object = None


@dataclass(frozen=True, slots=True)
class Place:
    x: object
    y: object = None


def test_it_is_a_sha_256_in_hexadecimal():
    assert len(bytes.fromhex(fingerprint("a"))) == 32


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Point(1, 2), Point(1, 2)),
        ([Point({"k": b"x"})], [Point({"k": b"x"})]),
        (b"abc", bytes(bytearray(b"abc"))),
    ],
)
def test_the_same_content_has_the_same(one, same):
    assert fingerprint(one) == fingerprint(same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "b"),
        ("1", 1),
        (None, "null"),
        (["a", "b"], ["b", "a"]),
        (["ab"], ["a", "b"]),
        ({"a": 1}, {"a": 2}),
        (Point(1, 2), Point(2, 1)),
        (Point(1), Place(1)),
        (Point(1), {"x": 1, "y": None}),
        (Point(1), ["Point", {"x": 1, "y": None}]),
        (b"a", b"b"),
        (b"a", "a"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (True, 1),
    ],
)
def test_other_content_has_another(one, other):
    assert fingerprint(one) != fingerprint(other)


def test_where_one_part_ends_and_the_next_begins_counts():
    assert len({fingerprint("a", "b"), fingerprint("ab"), fingerprint(["a", "b"]), fingerprint("b", "a")}) == 4


def test_what_has_no_plain_form_has_none():
    with pytest.raises(TypeError, match="object has no fingerprint"):
        fingerprint(object())


def test_a_class_has_none_though_its_objects_do():
    with pytest.raises(TypeError, match="type has no fingerprint"):
        fingerprint(Point)


def test_it_does_not_change_from_one_version_to_the_next():
    """What was fingerprinted by an older version is found again."""
    assert fingerprint("script", Point(1, b"x")) == "14dba84ae5ce50fdaa278b42ebdcab245a7dab719182f2233a1ee1c611380e6e"
