"""What is loaded or made when it is first used."""

from __future__ import annotations

import sys

import pytest

from penstock.base.lazily import Lazily, LazyMapping


def test_a_library_is_loaded_when_something_of_it_is_first_asked_for(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    colours = Lazily("colorsys")
    assert "colorsys" not in sys.modules
    assert colours.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    assert "colorsys" in sys.modules


def test_what_a_library_does_not_have_is_missed_as_ever():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        Lazily("colorsys").nothing_like_it  # noqa: B018  # asking is the point


def test_a_mapping_is_made_once_and_when_first_looked_into():
    made = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"a": 1}

    found = LazyMapping(make)
    assert made == []
    assert [found["a"], list(found), len(found), made] == [1, ["a"], 1, [1]]
