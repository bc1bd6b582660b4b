"""The one error of writing: a spool whose records do not make one file."""

from __future__ import annotations


class SpoolError(Exception):
    """The records cannot be written; code, message and hint as everywhere."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
