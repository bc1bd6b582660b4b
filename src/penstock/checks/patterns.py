r"""Regular expressions: Python's, as suites have them, held to what RE2 can do and written as RE2 means the same.

RE2 matches in time linear in the text, so that no pattern can hold a worker; it has no look-around and no back
references, and these are refused when the suite is read, with the place in the pattern. What both know but mean
differently is translated: `\d`, `\w` and `\s` stand for Unicode's digits, letters and blanks, and `$` also matches
before a line feed at the end. `\b` keeps to ASCII, which RE2 cannot change.

Source: https://github.com/google/re2/wiki/Syntax, https://docs.python.org/3/library/re.html
"""

from __future__ import annotations

import re
import warnings
from typing import Final

from penstock.core import limits

_BLANKS: Final = r"\t-\r\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_UNICODE: Final = {"d": r"\p{Nd}", "w": r"\p{L}\p{N}_", "s": _BLANKS}
_GROUPS: Final = {
    "(?=": "a look-ahead",
    "(?!": "a negative look-ahead",
    "(?<=": "a look-behind",
    "(?<!": "a negative look-behind",
    "(?P=": "a back reference",
    "(?(": "a condition on a group",
    "(?>": "an atomic group",
}
_FLAGS: Final = re.compile(r"\(\?([aiLmsux]*)(?:-([imsx]+))?([:)])")
_COMMENT: Final = re.compile(r"\(\?#[^)]*\)")
_REPEAT: Final = re.compile(r"\{(\d*)(,?)(\d*)\}")
_CODE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2}))")
_REPEAT_MAX: Final = 1_000
_COUNT: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_LETTERS: Final = r"\p{L}"
# Measured: RE2's 8 MiB hold 404 times all letters of Unicode, and 1,000 times anything else.
_LETTERS_SIZE: Final = 25
_SIZE_MAX: Final = 10_000


def re2(pattern: str) -> str:
    """Return a pattern of Python as one of RE2 that means the same.

    Raises:
        ValueError: when Python does not know it, or RE2 cannot do it; says what, and at which character.
    """
    if len(pattern) > limits.PATTERN.value:
        raise ValueError(f"the pattern has {len(pattern):,} characters; at most {limits.PATTERN.value:,} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what may mean something else one day is translated as it means now
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        at = getattr(error, "pos", None)
        where = f"character {at + 1} of the pattern: " if at is not None else ""
        raise ValueError(f"{where}{getattr(error, 'msg', 'the pattern is nested too deeply')}") from error
    return _Translation(pattern).text()


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._in_class = False
        self._size = _Size()
        self._multiline = "m" in "".join(found[1] for found in _FLAGS.finditer(pattern))

    def text(self) -> str:
        parts = []
        while self._at < len(self._pattern):
            was_in_class = self._in_class
            part = self._next()
            self._count(part, inside=was_in_class)
            parts.append(part)
        if self._size.total > _SIZE_MAX:
            raise ValueError("the pattern is too large for RE2, with its repetitions written out. Repeat less often")
        return "".join(parts)

    def _count(self, part: str, *, inside: bool) -> None:
        weight = _LETTERS_SIZE if _LETTERS in part else 1
        if inside or not part:
            self._size.atom(weight if part else 0, again=True)
        elif part.startswith("(") and not part.endswith(")"):
            self._size.open()
        elif part == ")":
            self._size.close()
        elif found := _COUNT.match(part):
            if self._size.repeat(int(found[2] or found[1])) > _REPEAT_MAX:
                raise self._refusal("a repetition of a repetition", f"At most {_REPEAT_MAX:,} times in all is possible")
        else:
            self._size.atom(weight)

    def _next(self) -> str:
        char = self._pattern[self._at]
        if char == "\\":
            return self._escape()
        if self._in_class:
            return self._class_char(char)
        if char == "[":
            return self._class_start()
        if char == "(":
            return self._group()
        if char in "*+?" or (char == "{" and _REPEAT.match(self._pattern, self._at)):
            return self._quantifier(char)
        self._at += 1
        return r"(?:\n?\z)" if char == "$" and not self._multiline else char

    def _class_start(self) -> str:
        self._in_class = True
        end = self._at + 1
        if self._pattern[end : end + 1] == "^":
            end += 1
        opened = self._pattern[self._at : end]
        self._at = end
        if self._pattern[end : end + 1] == "]":  # the first one stands for itself
            self._at += 1
            opened += r"\]"
        return opened

    def _class_char(self, char: str) -> str:
        self._at += 1
        if char == "]":
            self._in_class = False
        return r"\[" if char == "[" else char

    def _escape(self) -> str:
        found = _CODE.match(self._pattern, self._at)
        if found:
            self._at = found.end()
            return f"\\x{{{found[1] or found[2] or found[3]}}}"
        letter = self._pattern[self._at + 1]
        if letter in "123456789" and not self._in_class:
            raise self._refusal(f"a back reference, \\{letter}", "Write out what it refers to")
        if letter == "0" or letter in "123456789" or letter == "N":
            raise self._refusal(f"the escape \\{letter}", "Write the character as \\uXXXX")
        self._at += 2
        if letter == "Z":
            return r"\z"
        if letter.lower() in _UNICODE:
            return self._unicode(letter)
        return f"\\{letter}"

    def _unicode(self, letter: str) -> str:
        members = _UNICODE[letter.lower()]
        if not self._in_class:
            return f"[{'^' if letter.isupper() else ''}{members}]"
        if letter.islower():
            return members
        if letter == "D":
            return r"\P{Nd}"
        self._at -= 2
        raise self._refusal(f"\\{letter} inside of [...]", "Write an alternative, such as (?:[...]|\\" + letter + ")")

    def _group(self) -> str:
        if comment := _COMMENT.match(self._pattern, self._at):
            self._at = comment.end()
            return ""
        for opening, name in sorted(_GROUPS.items(), key=lambda item: -len(item[0])):
            if self._pattern.startswith(opening, self._at):
                raise self._refusal(name, "Say it with a second expectation, or with the opposite one")
        if flags := _FLAGS.match(self._pattern, self._at):
            if set(flags[1] + (flags[2] or "")) & set("aLx"):
                raise self._refusal(f"the flag in {flags[0]}", "Valid are i, m and s")
            self._at = flags.end()
            kept = flags[1].replace("u", "")
            off = f"-{flags[2]}" if flags[2] else ""
            return "" if not kept and not off and flags[3] == ")" else f"(?{kept}{off}{flags[3]}"
        self._at += 1
        return "("

    def _quantifier(self, char: str) -> str:
        found = _REPEAT.match(self._pattern, self._at)
        text = found[0] if char == "{" and found else char
        if found and char == "{":
            if not found[1] and not found[3]:  # {} and {,} stand for themselves, or for no bound
                self._at += len(text)
                return "*" if found[2] else r"\{\}"
            if max(int(found[1] or 0), int(found[3] or 0)) > _REPEAT_MAX:
                raise self._refusal(f"the repetition {text}", f"At most {_REPEAT_MAX:,} is possible")
            text = f"{{0,{found[3]}}}" if not found[1] else text
        end = self._at + (len(found[0]) if char == "{" and found else 1)
        if self._pattern[end : end + 1] == "+":
            raise self._refusal("a possessive repetition", "Leave out the second +")
        self._at = end
        if self._pattern[end : end + 1] == "?":
            self._at += 1
            text += "?"
        return text

    def _refusal(self, what: str, instead: str) -> ValueError:
        return ValueError(f"character {self._at + 1} of the pattern: {what} cannot be done by RE2. {instead}")


class _Size:
    """How large a pattern becomes for RE2, which writes repetitions out."""

    def __init__(self) -> None:
        self._levels = [[0, 1]]  # of each open group: its size, and how often a part of it is repeated
        self._last = [0, 1]

    @property
    def total(self) -> int:
        return self._levels[0][0]

    def atom(self, size: int, *, again: bool = False) -> None:
        self._last = [self._last[0] + size, 1] if again else [size, 1]
        self._levels[-1][0] += size

    def open(self) -> None:
        self._levels.append([0, 1])

    def close(self) -> None:
        self._last = self._levels.pop()
        self._grow(self._last[0])

    def repeat(self, times: int) -> int:
        """Count the last part so many times, and return how often its innermost part is repeated in all."""
        self._grow(self._last[0] * (times - 1))
        self._last = [self._last[0] * times, self._last[1] * max(times, 1)]
        self._grow(0)
        return self._last[1]

    def _grow(self, size: int) -> None:
        self._levels[-1] = [self._levels[-1][0] + size, max(self._levels[-1][1], self._last[1])]
