"""Secrets in the settings of connections, in place of their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

_SECRET: Final = re.compile(r"\$\{secret:([^}]*)\}")


def with_secrets(value: Any, secret: Callable[[str], str]) -> Any:
    """Return settings with secrets in place of their names; nothing is checked again, so that no error has one."""
    match value:
        case str():
            return _SECRET.sub(lambda found: secret(found[1]), value)
        case BaseModel():
            fields = type(value).model_fields
            return value.model_copy(update={name: with_secrets(getattr(value, name), secret) for name in fields})
        case dict():
            return {key: with_secrets(one, secret) for key, one in value.items()}
        case list() | tuple():
            return type(value)(with_secrets(one, secret) for one in value)
    return value
