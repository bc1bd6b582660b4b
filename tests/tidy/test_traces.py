"""The project names no registry, no place it was written in, and nothing about how it was written."""

import re

from tests.tidy.tree import files, lines

# Spelled in pieces, so that this list does not find itself.
REGISTRIES = re.compile(
    "|".join(["python" + "hosted", r"registry\." + "npmjs", r"//py" + r"pi\.", r"deb\." + r"debian\.org"])
)
PLACES = re.compile(r"(?:^|[^\w.])/(?:" + "|".join(["wo" + "rk", "fa" + "rm", "Us" + "ers"]) + ")/")
MAKERS = re.compile(
    "|".join(
        [
            r"\bcla" + "ude",
            r"\banth" + "ropic",
            r"\bopen" + r"ai\b",
            r"chat" + "gpt",
            r"\bco" + "pilot",
            r"\bl" + r"lms?\b",
            "co-authored" + "-by",
            "language " + "model",
            r"\bsub-?" + r"agents?\b",
            r"\bcoding " + "agent",
        ]
    ),
    re.IGNORECASE,
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
