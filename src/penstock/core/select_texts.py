"""Whether a text can be one SELECT, as far as that is seen without an engine, which has the last word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# What hides its content from whoever looks for the end of a statement; then a word, then any other sign. What is never
# closed hides all that follows, so that no text takes longer than its length.
_TOKEN: Final = re.compile(
    r"""(?P<hidden>--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*(?:'|\Z)|"(?:[^"]|"")*(?:"|\Z)
    |\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))"""
    r"|(?P<word>\w+)|(?P<sign>\S)",
    re.DOTALL | re.VERBOSE,
)
_BEGINNINGS: Final = frozenset("SELECT WITH FROM VALUES TABLE PIVOT UNPIVOT SUMMARIZE DESCRIBE SHOW ( ${".split())
_COMMENTS: Final = ("--", "/*")


def select_problem(text: str) -> str | None:
    """Return why a text is not one SELECT; None when it can be one."""
    statements = list(_statements(text))
    if not statements:
        return "there is no query in it"
    if len(statements) > 1:
        return f"there are {len(statements)} statements in it, and a query is one"
    if statements[0].upper() not in _BEGINNINGS:
        return f"it begins with {statements[0][:40]}, and a query is a SELECT"
    return None


def _statements(text: str) -> Iterator[str]:
    """Yield what each statement begins with."""
    begun = False
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token.startswith(_COMMENTS) and found["hidden"]:
            continue
        if found["sign"] == ";":
            begun = False
        elif not begun:
            begun = True
            yield "${" if text.startswith("${", found.start()) else token
