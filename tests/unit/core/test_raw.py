"""Raw data as lines."""

from penstock.core.raw import later


def test_the_later_of_two_cursors():
    """One that cannot be compared does not take the place of another."""
    assert later(None, (1, "a")) == (1, "a")
    assert later((2, "b"), (1, "a")) == (2, "b")
    assert later(("x", "x"), (1, "a")) == ("x", "x")
