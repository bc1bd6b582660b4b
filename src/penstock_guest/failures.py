"""What went wrong, as data: the errors that a child reports, whoever caused them.

The text of an exception is tenant code too (`__str__` may loop, lie or raise), so it is made here, inside the limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

MESSAGE_CHARACTERS_MAX: Final = 500
_NAME_CHARACTERS_MAX: Final = 100


class OutputFull(Exception):
    """A chunk's output is larger than it may be; the argument is the limit in bytes."""


class OutputUnfit(Exception):
    """An output record does not fit the version's schema; the argument says where, and which rule."""

    code = "output_schema"


_CODES: Final[dict[type[BaseException], str]] = {
    MemoryError: "limit_memory",
    RecursionError: "limit_recursion",
    OutputFull: "limit_output",
    OutputUnfit: OutputUnfit.code,
}
_OURS: Final = (OutputFull, OutputUnfit)  # raised by us, so their type says nothing to who wrote the script


class Describer:
    """Describes the exceptions of one script.

    Args:
        script: its name, which its frames carry.
        limit_words: code of a limit -> the sentence with its value and the flag that raises it.
    """

    def __init__(self, script: str, limit_words: Mapping[str, str]) -> None:
        self.script = script
        self.limit_words = limit_words

    def describe(self, error: BaseException, *, code: str = "script_error") -> dict[str, Any]:
        """Return code, type, message and script line of an exception that the script let out."""
        code = _CODES.get(type(error), code)
        return {
            "code": code,
            "type": None if type(error) in _OURS else bounded(type(error).__name__)[:_NAME_CHARACTERS_MAX],
            "message": self.limit_words.get(code) or _text(error),
            "script_line": line_of(error.__traceback__, script=self.script),
        }


def failure(code: str, message: str, *, type_name: str | None = None, script_line: int | None = None) -> dict[str, Any]:
    """Return an error that no exception caused, in the same form."""
    return {"code": code, "type": type_name, "message": bounded(message), "script_line": script_line}


def bounded(text: str) -> str:
    """Return the beginning of a tenant's text, as text that JSON has a form for: half a character has none."""
    return text[:MESSAGE_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()


def line_of(traceback: TracebackType | None, *, script: str) -> int | None:
    """Return the innermost line of the script in a traceback, None where the script is not in it."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == script:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _text(error: BaseException) -> str:
    try:
        return bounded(str(error))
    except BaseException as second:  # noqa: BLE001  # tenant code may raise anything
        return f"(its message raised {type(second).__name__})"
