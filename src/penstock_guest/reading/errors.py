"""The one error of reading: an input that is not what its name says, or that stops before its end."""

from __future__ import annotations


class InputError(Exception):
    """An input cannot be read on; the blocks before this place are good.

    Attributes:
        code: stable, the name of its page.
        message: what was found and what was expected; never a value of a row.
        member: the file inside an archive, None outside one.
        offset_bytes: where, counted in the bytes of the layer that was being read (compressed, archive or text).
        line: text line, from 1, where there are lines.
        hint: what to do, in the imperative.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        member: str | None = None,
        offset_bytes: int | None = None,
        line: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.member = member
        self.offset_bytes = offset_bytes
        self.line = line
        self.hint = hint
