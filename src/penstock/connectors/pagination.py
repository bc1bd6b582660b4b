"""How a source gives its records in pages: what is asked for next. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

_LINK: Final = re.compile(r"<([^<>]*)>([^<]*)")
_RELATION: Final = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,]+))", re.IGNORECASE)
REPEATED_MAX: Final = 3  # pages that are as the one before; some sources give their last page for ever


class _Pages(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OnePage(_Pages):
    """All records come at once."""

    kind: Literal["none"] = Field("none", description="One answer.")


class NumberedPages(_Pages):
    """Pages have numbers."""

    kind: Literal["page"] = Field(description="By number.")
    param: str = Field("page", description="The parameter that has the page's number.")
    first: int = Field(1, ge=0, description="The number of the first page.")
    size: int | None = Field(None, ge=1, description="Records a page: a page with fewer is the last.")
    size_param: str | None = Field(None, description="The parameter that says how many records a page has.")


class OffsetPages(_Pages):
    """Pages begin at a record."""

    kind: Literal["offset"] = Field(description="By what comes before.")
    param: str = Field("offset", description="The parameter that says how many records come before.")
    size: int = Field(100, ge=1, description="Records a page.")
    size_param: str | None = Field("limit", description="The parameter that says how many records a page has.")


class CursorPages(_Pages):
    """Each page says what to ask for to get the next."""

    kind: Literal["cursor"] = Field(description="By what the page before says.")
    param: str = Field("cursor", description="The parameter that takes what the page before said.")
    next_at: str = Field(description="Where a page says it: names with dots between, such as paging.next")


class LinkPages(_Pages):
    """A header of each page has the URL of the next. Source: RFC 8288."""

    kind: Literal["link"] = Field(description="By the header Link.")


class UrlPages(_Pages):
    """Each page has the URL of the next in it."""

    kind: Literal["url"] = Field(description="By the URL that the page before has.")
    next_at: str = Field(description="Where a page has it: names with dots between, such as links.next")


Pages = Annotated[
    OnePage | NumberedPages | OffsetPages | CursorPages | LinkPages | UrlPages, Field(discriminator="kind")
]


def params_of(pages: NumberedPages | OffsetPages, number: int) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a page, counted from 0."""
    at = pages.first + number if isinstance(pages, NumberedPages) else number * pages.size
    size = () if pages.size_param is None or pages.size is None else ((pages.size_param, str(pages.size)),)
    return ((pages.param, str(at)), *size)


def is_last(pages: NumberedPages | OffsetPages, records: int) -> bool:
    """Return whether a page with so many records is the last one."""
    return records == 0 or (pages.size is not None and records < pages.size)


def next_link(headers: Mapping[str, str]) -> str | None:
    """Return the URL that a Link header calls the next; None when there is none."""
    for url, words in _LINK.findall(headers.get("link", "")[:65_536]):
        relation = _RELATION.search(words)
        if relation and "next" in (relation[1] or relation[2]).lower().split():
            return str(url)
    return None
