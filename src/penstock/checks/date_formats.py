"""Formats of dates as Python's `strptime` reads them, as regular expressions of RE2; and dates as people write them.

DuckDB's own `strptime` is more tolerant in places (a year of two digits for `%Y`) and knows which days exist; so a text
is held to the pattern first, and its date is then looked up.

Source: `_strptime.TimeRE` of CPython.
"""

from __future__ import annotations

import re
from typing import Final

from penstock.core.duckdb_sql import text

_MONTHS: Final = (
    "january|february|march|april|may|june|july|august|september|october|november|december",
    "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec",
)
_DAYS: Final = ("monday|tuesday|wednesday|thursday|friday|saturday|sunday", "mon|tue|wed|thu|fri|sat|sun")
_DIRECTIVES: Final = {
    "Y": r"(?:[1-9]\d{3}|0[1-9]\d\d|00[1-9]\d|000[1-9])",
    "y": r"\d\d",
    "m": r"(?:1[0-2]|0[1-9]|[1-9])",
    "d": r"(?:3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9])",
    "j": r"(?:36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])",
    "H": r"(?:2[0-3]|[0-1]\d|\d)",
    "I": r"(?:1[0-2]|0[1-9]|[1-9]| [1-9])",
    "M": r"(?:[0-5]\d|\d)",
    "S": r"(?:6[0-1]|[0-5]\d|\d)",
    "f": r"[0-9]{1,6}",
    "p": r"(?:am|pm)",
    "b": f"(?:{_MONTHS[1]})",
    "B": f"(?:{_MONTHS[0]})",
    "a": f"(?:{_DAYS[1]})",
    "A": f"(?:{_DAYS[0]})",
    "z": r"(?:[+-]\d\d:?[0-5]\d(?::?[0-5]\d(?:\.\d{1,6})?)?|z)",
    "Z": r"(?:utc|gmt)",
    "%": "%",
}

_NUMERIC: Final = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{8}|\d{4}-\d{2}"
_NAMED: Final = rf"(?:{_MONTHS[0]}|{_MONTHS[1]})\.?"
_WORDED: Final = (
    rf"\d{{1,2}}(?:st|nd|rd|th)?[ -](?:of )?{_NAMED}(?:,?[ -]\d{{2,4}})?"
    rf"|{_NAMED}[ -]\d{{1,2}}(?:st|nd|rd|th)?(?:,?[ ]\d{{4}})?|{_NAMED} \d{{4}}|\d{{4}}[ -]{_NAMED}[ -]\d{{1,2}}"
)
_ZONE: Final = r"(?: ?(?:z|utc|gmt|[+-]\d{2}(?::?\d{2})?))"
_TIME: Final = rf"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{{1,9}})?)?(?: ?[ap]\.?m\.?)?{_ZONE}?"
_DAY: Final = rf"(?:(?:{_DAYS[0]}|{_DAYS[1]})\.?,? )?"
USUAL_DATE: Final = rf"(?i)^\s*(?:{_DAY}(?:{_NUMERIC}|{_WORDED})(?:(?:t|,? +){_TIME})?|{_TIME})\s*$"


def matching(format_: str) -> str:
    """Return a pattern of RE2 that a text matches when it has the format.

    Raises:
        ValueError: when a directive is not known; says which are.
    """
    parts, at = [], 0
    for found in re.finditer(r"%(.?)", format_, re.DOTALL):
        if found[1] not in _DIRECTIVES:
            valid = ", ".join(f"%{letter}" for letter in _DIRECTIVES)
            raise ValueError(
                f"character {found.start() + 1} of the format: %{found[1]} is not known; valid are {valid}"
            )
        parts += [_between(format_[at : found.start()]), _DIRECTIVES[found[1]]]
        at = found.end()
    return rf"(?i)^{''.join(parts)}{_between(format_[at:])}\z"


def existing(value: str, format_: str) -> str | None:
    """Return SQL that is true when the date in a text exists; None when the format has no day of a month.

    Args:
        value: SQL of a text that matches the format.
        format_: its format.
    """
    letters = set(re.findall(r"%(.)", format_, re.DOTALL))
    if "d" not in letters or not letters & {"m", "b", "B"}:
        return None
    wanted = {"Y", "y", "m", "d", "b", "B"}
    groups = [letter for letter in re.findall(r"%(.)", format_, re.DOTALL) if letter in wanted]
    names = ", ".join(text(f"{letter}{groups[:place].count(letter)}") for place, letter in enumerate(groups))
    parts = f"regexp_extract({value}, {text(_captured(format_))}, [{names}])"
    month = f"({parts}).m0" if "m" in groups else f"left(({parts}).{'b' if 'b' in groups else 'B'}0, 3)"
    year = f"({parts}).Y0" if "Y" in groups else f"'20' || ({parts}).y0" if "y" in groups else "'1900'"
    shape = "%Y-%m-%d" if "m" in groups else "%Y-%b-%d"
    return f"(try_strptime({year} || '-' || {month} || '-' || trim(({parts}).d0), '{shape}') IS NOT NULL)"


def _captured(format_: str) -> str:
    """Return the pattern of a format with a group around each part of a date."""
    parts, at = [], 0
    for found in re.finditer(r"%(.)", format_, re.DOTALL):
        inner = _DIRECTIVES[found[1]]
        parts += [_between(format_[at : found.start()]), f"({inner})" if found[1] in "YymdbB" else inner]
        at = found.end()
    return rf"(?i)^{''.join(parts)}{_between(format_[at:])}\z"


def _between(words: str) -> str:
    return re.sub(r"(?:\\?\s)+", lambda _: r"\s+", re.escape(words))
