"""Formats of dates mean what Python's `strptime` makes of them."""

import datetime as dt
import re

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.checks.date_formats import existing, matching
from tests.checking import problems_of

FORMATS = [
    "%Y-%m-%d",
    "%d/%m/%y",
    "%d %B %Y",
    "%b %d %Y",
    "%Y%m%d",
    "%Y-%m-%dT%H:%M:%S",
    "%H:%M:%S.%f",
    "%I:%M %p",
    "%j",
]
CONNECTION = duckdb.connect()
PARTS = st.sampled_from(
    ["2026", "26", "02", "2", "29", "30", "31", "12", "13", "00", "Feb", "february", "June", "pm", "AM"]
)
JOINTS = st.sampled_from(["-", "/", " ", ":", "", ".", "T", "  "])
TEXTS = st.lists(st.tuples(PARTS, JOINTS).map("".join), min_size=1, max_size=6).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FORMATS), TEXTS)
@example("%Y-%m-%d", "2024-02-29")
@example("%Y-%m-%d", "2026-02-29")
@example("%d %B %Y", "29 february 2024")
@example("%d/%m/%y", "29/02/24")
@example("%Y-%m-%dT%H:%M:%S", "2024-02-29T13:05:09")
@example("%H:%M:%S.%f", "13:05:09.000120")
@example("%I:%M %p", "1:05 pm")
@example("%j", "366")
@example("%Y-%m-%d", "0001-01-01")
@example("%Y-%m-%d", "0000-01-01")
def test_a_text_has_a_format_when_python_can_read_it(format_, text):
    try:
        dt.datetime.strptime(text, format_)  # noqa: DTZ007  # only whether it can be read
        expected = True
    except ValueError:
        expected = False
    sql = f"regexp_matches(v, $1) AND {existing('v', format_) or 'true'}"
    found = CONNECTION.execute(f"SELECT {sql} FROM (SELECT $2 AS v)", [matching(format_), text]).fetchone()
    assert found == (expected,)


@pytest.mark.parametrize(("format_", "place"), [("%Y-%Q", 4), ("%", 1), ("%Y %", 4)])
def test_a_directive_that_is_not_known_is_refused_with_its_place(format_, place):
    with pytest.raises(ValueError, match=re.escape(f"character {place} of the format")):
        matching(format_)


def test_the_format_is_checked_when_the_suite_is_read():
    kwargs = {"column": "d", "strftime_format": "%Q"}
    (problem,) = problems_of({"type": "expect_column_values_to_match_strftime_format", "kwargs": kwargs})
    assert "%Q is not known" in problem.message
    assert problem.hint.startswith("Valid are %Y")
