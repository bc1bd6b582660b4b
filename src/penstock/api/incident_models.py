"""Incidents as the API shows them; `core.run_views` fills them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, Field

IncidentName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,64}$", description="The id of an incident: inc_01...")]
IncidentCursor = Annotated[str | None, Query(pattern=r"^inc_[0-9A-Z]{26}$", description="`next` of the page before.")]


class ToldShown(BaseModel):
    """What somebody is told of an incident."""

    to: str | None = Field(
        description="A name under `alerts` of the project; null as long as nobody has looked whom the pipeline names."
    )
    of: Literal["begin", "end"] = Field(description="Of the incident.")
    subject: str
    state: Literal["waiting", "sent", "failed"] = Field(description="`failed` when it was tried as often as may be.")
    attempts: int
    sent_at: str | None
    next_at: str | None = Field(description="When it is tried next, while it waits.")
    error: str | None = Field(description="Why the last try failed.")


class IncidentShown(BaseModel):
    """A pipeline that does not do what it should."""

    id: str
    project: str
    pipeline: str
    kind: Literal["failed", "late", "check_failed"]
    state: Literal["open", "closed"]
    revision: str
    run: str | None = Field(description="The first that showed it; null when one is late that nobody has made.")
    date: str | None = Field(description="The logical date of that run.")
    opened_at: str
    closed_at: str | None
    closed_by: str | None = Field(description="The run that showed the opposite.")
    runs: int = Field(description="How often a run has shown it; one that was resumed and failed again counts again.")
    telling: Literal["nobody", "waiting", "told", "failed"] = Field(
        description="`nobody` when the pipeline names none; `failed` when somebody could not be told."
    )
    told: list[ToldShown]


class IncidentPage(BaseModel):
    """Incidents, newest first."""

    items: list[IncidentShown]
    next: str | None = Field(description="The cursor of the next page; null on the last.")
