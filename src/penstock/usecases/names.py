"""Names that people choose."""

from __future__ import annotations

import re
from typing import Final

from penstock.core.errors import RequestInvalid

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+ -]{0,62}[A-Za-z0-9._@+-]|[A-Za-z0-9]")
_SECRET: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def check_name(name: str, *, of: str) -> None:
    """Return when a name can be one.

    Raises:
        RequestInvalid: saying what would be valid.
    """
    if not _NAME.fullmatch(name):
        raise RequestInvalid(
            f"{of} cannot be called {name[:100]!r}",
            hint="Use up to 64 ASCII letters, digits, spaces and . _ @ + - beginning with a letter or a digit.",
            problems=[{"place": "body.name", "message": "is not a name"}],
        )


def check_secret_name(name: str) -> None:
    """Return when a name can be a secret's: it stands in `${secret:NAME}`.

    Raises:
        RequestInvalid: saying what would be valid.
    """
    if not _SECRET.fullmatch(name):
        raise RequestInvalid(
            f"a secret cannot be called {name[:100]!r}",
            hint="Use up to 64 ASCII letters, digits and underscores, beginning with no digit, such as HOOK_KEY.",
            problems=[{"place": "path.name", "message": "is not a name of a secret"}],
        )
