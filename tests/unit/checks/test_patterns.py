"""Regular expressions of Python mean the same in RE2, or are refused with the place."""

import re
import warnings

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.checks.patterns import re2

ATOMS = st.sampled_from(
    r"a b . \d \w \s \D \W \S [a-c] [^a] [\w-] [\d.] [^\s] é \. ^ $ \A \Z []a] [[a] \u00e9 \x41 (?:ab|c) (b) (?P<n>c)"
    r" (?i:A) x{ \n".split()
)
QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,2}", "{,2}", "*?", "+?", "{}"])
PATTERNS = st.lists(st.tuples(ATOMS, QUANTIFIERS).map("".join), min_size=1, max_size=5).map("".join)
TEXTS = st.text(alphabet="abcAx1٣é_- .\n\t\u2003日{}", max_size=6)
CONNECTION = duckdb.connect()


@settings(max_examples=400, deadline=None)
@given(PATTERNS, TEXTS)
def test_a_pattern_finds_what_python_finds(pattern, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = re.search(pattern, text) is not None
        except re.error:
            with pytest.raises(ValueError, match="of the pattern"):
                re2(pattern)
            return
    if "$" in pattern[:-1]:  # an end in the middle is of no use to anybody
        return
    found = CONNECTION.execute("SELECT regexp_matches($1, $2)", [text, re2(pattern)]).fetchone()
    assert found == (expected,), re2(pattern)


@pytest.mark.parametrize(
    ("pattern", "place", "what"),
    [
        ("(?=a)", 1, "a look-ahead"),
        ("ab(?!a)", 3, "a negative look-ahead"),
        ("(?<=a)b", 1, "a look-behind"),
        ("x(?<!a)b", 2, "a negative look-behind"),
        (r"(a)\1", 4, "a back reference"),
        (r"(?P<n>a)(?P=n)", 9, "a back reference"),
        (r"(a)?(?(1)b|c)", 5, "a condition on a group"),
        ("(?>a)", 1, "an atomic group"),
        ("a*+b", 2, "a possessive repetition"),
        ("a{2,3}+b", 2, "a possessive repetition"),
        ("a{2000}", 2, "the repetition {2000}"),
        ("(?x) a", 1, "the flag"),
        (r"[\W_]", 2, r"\W inside of"),
        ("(a", 1, "missing ), unterminated subpattern"),
        ("*a", 1, "nothing to repeat"),
        ("a[b", 2, "unterminated character set"),
    ],
)
def test_what_re2_cannot_do_is_refused_with_its_place(pattern, place, what):
    with pytest.raises(ValueError, match=re.escape(f"character {place} of the pattern: {what}")):
        re2(pattern)


@pytest.mark.parametrize("pattern", ["[(?=]", r"\(\?=", "[*+]", r"a\+\+", "(?#(?=)a"])
def test_what_only_looks_like_it_is_not_refused(pattern):
    CONNECTION.execute("SELECT regexp_matches('x', $1)", [re2(pattern)])


def test_a_pattern_has_a_limit():
    with pytest.raises(ValueError, match="1,001 characters; at most 1,000"):
        re2("a" * 1_001)


def test_deep_nesting_is_refused_and_no_crash():
    with pytest.raises(ValueError, match="pattern"):
        re2("(" * 500 + "a" + ")" * 499)


@pytest.mark.parametrize("pattern", [r"\w{405}", r"(\w{10}){41}", r"\w" * 410, r"([\w-]{100},?){5}", r"(?:\w\w){250}"])
def test_a_pattern_that_is_too_large_for_re2_is_refused(pattern):
    with pytest.raises(ValueError, match="too large for RE2"):
        re2(pattern)


@pytest.mark.parametrize("pattern", ["(a{100}){11}", "((a{10}){10}){11}", "(a{2,}){600}"])
def test_repetitions_of_repetitions_have_a_bound(pattern):
    with pytest.raises(ValueError, match="a repetition of a repetition cannot be done by RE2"):
        re2(pattern)


@pytest.mark.parametrize(
    "pattern", [r"\w{390}", "(a{100}){10}", r"(\d{3}-){200}", "[^a]{1000}", ".{1000}", r"(?i:\w{2,190}x)"]
)
def test_what_re2_can_hold_is_taken(pattern):
    CONNECTION.execute("SELECT regexp_matches('x', $1)", [re2(pattern)])
