"""Loading a script looks at its name and size, and not at what is in it."""

import pytest

from penstock.core.errors import ScriptNotFound, ScriptRejected, UsageError
from penstock.core.scripts import Problem, ScriptLimits
from penstock.usecases.scripts import check_script, load_script
from tests.twins import TwinSandbox


def load(path, *, profile=None, tier="isolated"):
    return load_script(str(path), profile=profile, tier=tier, limits_=ScriptLimits(cpu_s=3))


@pytest.fixture
def script(tmp_path):
    def write(name, source=b"anything at all"):
        path = tmp_path / name
        path.write_bytes(source)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "profile", "language", "given"),
    [
        ("s.py", None, "python", "std"),
        ("s.py", "std", "python", "std"),
        ("s.py", "arrow", "python", "arrow"),
        ("s.js", None, "javascript", "js"),
        ("s.js", "js", "javascript", "js"),
        ("s.mjs", None, "javascript", "js"),
    ],
)
def test_the_ending_tells_the_language_and_the_profile_follows(script, name, profile, language, given):
    version = load(script(name), profile=profile)
    assert (version.name, version.language, version.profile) == (name, language, given)


def test_source_tier_and_limits_are_taken_as_they_are(script):
    version = load(script("s.py", b"\xff\x00"), tier="warm")
    assert (version.source, version.tier, version.limits.cpu_s) == (b"\xff\x00", "warm", 3)


@pytest.mark.parametrize(("name", "profile"), [("s.py", "js"), ("s.js", "std"), ("s.js", "arrow")])
def test_a_profile_of_another_language_is_refused(script, name, profile):
    with pytest.raises(UsageError, match=f"--profile {profile} is not for") as caught:
        load(script(name), profile=profile)
    assert "JavaScript has the profile js" in caught.value.hint


@pytest.mark.parametrize(("name", "ending"), [("s.rb", ".rb"), ("s", "(none)"), (".py", "(none)"), ("s.PY", ".PY")])
def test_an_ending_that_is_no_scripts_is_named_with_those_that_are(script, name, ending):
    with pytest.raises(ScriptRejected) as caught:
        load(script(name))
    assert f"the ending {ending} is no script's" in caught.value.message
    assert caught.value.hint == "Name it .py, .js, .mjs."


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_script_that_cannot_be_read_is_named(tmp_path, kind):
    path = tmp_path / "s.py"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(ScriptNotFound, match=r"s\.py: cannot be read: "):
        load(path)


def test_a_script_may_have_a_mebibyte_and_no_more(script):
    assert len(load(script("s.py", b"#" * 2**20)).source) == 2**20
    with pytest.raises(ScriptRejected, match=r"has 1,048,577 bytes; at most 1 MiB may be"):
        load(script("s.py", b"#" * (2**20 + 1)))


def test_a_script_is_checked_in_the_sandbox(script):
    problems = [Problem({"code": "script_syntax"})]
    assert check_script(load(script("s.py")), sandbox=TwinSandbox(problems=problems)) == problems
