"""What a script prints: kept up to a bound and handed to whoever tries it out; a script has no terminal."""

from __future__ import annotations

from typing import Final

CHARACTERS_MAX: Final = 4096


class Printed:
    """The part of a text file that print needs."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = CHARACTERS_MAX

    def write(self, text: str) -> int:
        """Keep as much of the text as there is room for.

        Raises:
            TypeError: when it is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"write() takes text, not {type(text).__name__}")
        if self._room > 0:
            self._parts.append(text[: self._room].encode("utf-8", "backslashreplace").decode())
            self._room -= len(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: print calls it."""

    def take(self) -> str:
        """Return what was printed since the last time."""
        text = "".join(self._parts)
        self._parts.clear()
        return text
