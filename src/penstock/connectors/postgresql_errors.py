"""What PostgreSQL refuses, in its own words, and without values of rows."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from penstock.base.lazily import Lazily
from penstock.core.errors import DestinationUnavailable, PenstockError, TaskFailed

if TYPE_CHECKING:
    import psycopg
else:
    psycopg = Lazily("psycopg")

_QUOTED: Final = re.compile(r"\".*\"|'.*'", re.DOTALL)
_NUMBER: Final = re.compile(r"(?<![A-Za-z0-9_])[-+]?[0-9][0-9.,:eE+-]*")
# Classes of SQLSTATE whose words come from the query or the server's state; in those of others, values may stand.
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html.
_OF_THE_QUERY: Final = ("08", "0A", "25", "28", "2B", "3D", "3F", "42", "53", "54", "55", "57", "58")
_PASSING: Final = ("08", "40", "53", "55", "57P", "58")
_FULL: Final = (
    "too many",
    "remaining connection slots",
    "starting up",
    "shutting down",
    "recovery",
    "not yet accepting",
)


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Make the driver's errors ours: with the server's words, and without values of rows."""
    try:
        yield
    except psycopg.Error as error:
        raise failure(error, what) from None


def failure(error: psycopg.Error, what: str) -> PenstockError:
    """Return what a failure of the server or of the connection is to the owner of the query."""
    state = error.sqlstate or ""
    if not state and "FATAL:" in str(error):  # it has answered, and refuses; the driver does not tell its code
        return _refused(str(error).partition("FATAL:")[2].strip().partition("\n")[0], what)
    words = (error.diag.message_primary or str(error)).strip().partition("\n")[0]
    if state and not state.startswith(_OF_THE_QUERY):
        words = _NUMBER.sub("...", _QUOTED.sub("...", words))
    message = f"{what} failed: {words}" + (f" ({state})" if state else "")
    if state == "57014":
        return TaskFailed(message, hint="Read less at once, or give the connection a longer timeout.")
    if state.startswith(_PASSING) or (not state and isinstance(error, psycopg.OperationalError)):
        return DestinationUnavailable(message, hint="Look at the server; it is tried again.")
    return TaskFailed(message, hint="Correct the query, or what the connection says.")


def _refused(words: str, what: str) -> PenstockError:
    """Return what it is that a server does not let somebody in."""
    message = f"{what} failed: {words}"
    if any(word in words for word in _FULL):
        return DestinationUnavailable(message, hint="Look at the server; it is tried again.")
    return TaskFailed(message, hint="Look at the user, the password and the database that the connection names.")
