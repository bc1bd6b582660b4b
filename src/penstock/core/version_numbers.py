"""Semantic version numbers, and the ranges of them that a job may ask for. Source: semver.org."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from penstock.core import limits
from penstock.core.errors import RequestInvalid

Triple = tuple[int, int, int]
_NUMBER: Final = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z.-]{1,64}))?", re.ASCII
)
_PARTIAL: Final = re.compile(
    r"(?P<sign>\^|~|>=|<=|>|<|=)?\s*"
    r"(?P<major>\d{1,9}|[xX*])(?:\.(?P<minor>\d{1,9}|[xX*]))?(?:\.(?P<patch>\d{1,9}|[xX*]))?",
    re.ASCII,
)
_VALID: Final = "Valid: active, an exact version such as 1.2.0, or a range: ^1.2, ~1.2, 1.x, '>=1.2 <2'."


@dataclass(frozen=True, slots=True)
class Number:
    """A semantic version: major, minor, patch, and perhaps a pre-release, which comes before the version itself."""

    triple: Triple
    pre: str | None = None

    def order(self) -> tuple[Any, ...]:
        """Return what versions are sorted by. Source: semver.org, section 11."""
        if self.pre is None:
            return (*self.triple, 1, ())
        words = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in self.pre.split("."))
        return (*self.triple, 0, words)

    def __str__(self) -> str:
        return ".".join(map(str, self.triple)) + (f"-{self.pre}" if self.pre else "")


def parse_number(text: str) -> Number:
    """Return the semantic version that a text stands for.

    Raises:
        RequestInvalid: when it is none.
    """
    if (match := _NUMBER.fullmatch(text)) is None:
        raise RequestInvalid(
            f"{text[:80]!r} is no version number", hint="Write three numbers, such as 1.2.0, or 1.2.0-rc.1."
        )
    major, minor, patch, pre = match.groups()
    return Number((int(major), int(minor), int(patch)), pre)


@dataclass(frozen=True, slots=True)
class Range:
    """All versions from `low` on, below `high`. Pre-releases are in no range: they are asked for exactly."""

    low: Triple = (0, 0, 0)
    high: Triple | None = None

    def has(self, number: Number) -> bool:
        """Return whether a version lies in the range."""
        above = number.pre is None and number.triple >= self.low
        return above and (self.high is None or number.triple < self.high)


def parse_asked(text: str) -> Number | Range | None:
    """Return what a job asks for: a number, a range, or None for `active`.

    Raises:
        RequestInvalid: when it is neither.
    """
    words = text.strip()
    if words == "active":
        return None
    if _NUMBER.fullmatch(words):
        return parse_number(words)
    position, asked = 0, Range()
    while position < len(words) and len(words) <= limits.VERSION_ASKED.value:
        if (match := _PARTIAL.match(words, position)) is None:
            break
        part = _range(match)
        highs = [high for high in (asked.high, part.high) if high is not None]
        asked = Range(max(asked.low, part.low), min(highs, default=None))
        position = match.end()
        separator = re.compile(r"\s*,\s*|\s+|$").match(words, position)
        if separator is None:
            break
        position = separator.end()
        if position == len(words) and not separator.group().strip():
            return asked
    raise RequestInvalid(f"{text[:80]!r} names no version", hint=_VALID)


def _range(match: re.Match[str]) -> Range:
    """Return the range of one comparison, such as `^1.2`, `<2` or `1.x`; missing parts stand for all."""
    parts = [None if part in (None, "x", "X", "*") else int(part) for part in match.group("major", "minor", "patch")]
    known = parts[: parts.index(None)] if None in parts else parts
    numbers = [part for part in known if part is not None]
    low = _triple(numbers)
    after = _triple([*numbers[:-1], numbers[-1] + 1]) if numbers else None  # the first one past all that fit the parts
    sign = match["sign"]
    if sign == ">=" or (sign == ">" and after is None):
        return Range(low)
    if sign == ">":
        return Range(after or low)
    if sign == "<":
        return Range(high=low)
    if sign == "<=":
        return Range(high=after)
    if sign == "~" and len(numbers) > 1:
        after = _triple([numbers[0], numbers[1] + 1])
    if sign == "^" and numbers:
        # Up to the leftmost part that is not zero: ^1.2 is below 2, ^0.2 below 0.3, ^0.0.3 below 0.0.4.
        place = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
        after = _triple([*numbers[:place], numbers[place] + 1])
    return Range(low, after)


def _triple(numbers: Sequence[int]) -> Triple:
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major, minor, patch


def next_number(numbers: Iterable[str]) -> str:
    """Return the number of the next version: the highest one's next patch, 1.0.0 for the first."""
    triples = [parse_number(number).triple for number in numbers]
    if not triples:
        return "1.0.0"
    major, minor, patch = max(triples)
    return str(Number((major, minor, patch + 1)))
