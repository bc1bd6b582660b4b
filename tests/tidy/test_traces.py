"""The project names no registry, no place it was written in, and nothing about how it was written."""

import re

from tests.tidy.tree import files, lines

# One letter of each stands in brackets, so that this list does not find itself.
REGISTRIES = re.compile(r"pythonh[o]sted|registry\.n[p]mjs|//pyp[i]\.|deb\.debi[a]n\.org")
PLACES = re.compile(r"(?:^|[^\w.])/(?:w[o]rk|f[a]rm|[U]sers)/")
MAKERS = re.compile(
    r"\b(cl[a]ude|anthr[o]pic|open[a]i|chatgp[t]|cop[i]lot|sub-?ag[e]nts?|co-auth[o]red-by)\b", re.IGNORECASE
)


def test_no_registry_host_is_named():
    """Every machine decides for itself where packages come from."""
    assert found(REGISTRIES) == []


def test_no_place_of_one_machine_is_named():
    """Paths are relative to the project or to the environment."""
    assert found(PLACES) == []


def test_nothing_says_how_the_project_was_written():
    """The text speaks of the product."""
    assert found(MAKERS) == []
    assert [str(path) for path in files() if MAKERS.search(str(path))] == []


def test_the_patterns_find_what_they_are_for():
    """A pattern that matches nothing would pass for ever."""
    assert REGISTRIES.search("https://files.python" + "hosted.org/x")
    assert PLACES.search("see /wo" + "rk/main/x")
    assert not PLACES.search("a.b/wo" + "rk/c")
    assert MAKERS.search("written by Cla" + "ude")


def found(pattern: re.Pattern[str]) -> list[str]:
    """Places whose line matches."""
    return [place for place, line in lines() if pattern.search(line)]
