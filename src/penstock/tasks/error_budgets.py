"""How many records of a task may fail, as its settings say it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from penstock.core.errors import RequestInvalid
from penstock.core.processing import parse_error_budget


def _budget(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str):
        try:
            parse_error_budget(text)
        except RequestInvalid as error:
            raise ValueError(f"{error.message} {error.hint}") from None
    return text


ErrorsMax = Annotated[str, BeforeValidator(_budget)]
