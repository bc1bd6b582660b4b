"""What the files of a project may say: the common part; what a kind of task or connection needs, it says itself."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from penstock.base.cron import cron_problem
from penstock.core import limits

NAME: Final = r"^[a-z][a-z0-9_]{0,62}$"
PROJECT_NAME: Final = r"^[a-z][a-z0-9_-]{0,62}$"
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
Name = Annotated[str, StringConstraints(pattern=NAME)]


def _time_of_day(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is no time of day; valid is 00:00 to 23:59")
    return text


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = difflib.get_close_matches(text, available_timezones(), n=1, cutoff=0.6)
        more = f" did you mean {close[0]}?" if close else " valid are names such as UTC or America/Sao_Paulo"
        raise ValueError(f"{text!r} is no time zone;{more}") from None
    return text


def _cron(text: str) -> str:
    if len(text) > limits.CRON.value:
        raise ValueError(f"an expression of {len(text):,} characters; cron has {limits.CRON.value} at most")
    if (problem := cron_problem(text)) is not None:
        raise ValueError(problem)
    return text


class Model(BaseModel):
    """A mapping of a file, whose names are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class ScheduleModel(Model):
    """When a pipeline runs by itself."""

    cron: Annotated[str, AfterValidator(_cron)] = Field(description="Five fields, in the time zone.")
    timezone: Annotated[str, AfterValidator(_timezone)] = Field("UTC", description="Such as America/Sao_Paulo.")
    catch_up: bool = Field(default=False, description="Whether dates that passed while nothing ran are run too.")
    runs_max: int = Field(1, ge=1, le=100, description="At most so many runs at once.")
    paused: bool = Field(default=False, description="Whether it waits for somebody to resume it.")


class TaskModel(Model):
    """What every task may say, whatever its kind."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str = Field(description="What it does: one of the task kinds.")
    after: list[str] = Field(
        default_factory=list, max_length=limits.TASK_AFTER.value, description="Tasks that must have ended before."
    )
    when: str | None = Field(None, description="It is skipped unless this is true.")
    for_each: dict[str, Any] | None = Field(None, description="What it is done once for each of.")
    retries: int = Field(0, ge=0, le=20, description="How often it is tried again.")
    timeout: str | int | None = Field(None, description="Of one attempt: 90, 10m, 2h.")
    pool: str | None = Field(None, description="What bounds how many run at once.")
    trigger: Literal["all_succeeded", "all_done"] = Field("all_succeeded", description="What it waits for.")


class PipelineModel(Model):
    """A file in `pipelines/`."""

    description: str = Field("", description="What it is for, in a sentence.")
    schedule: ScheduleModel | None = Field(None, description="When it runs by itself.")
    deadline: Annotated[str, AfterValidator(_time_of_day)] | None = Field(
        None, description="Time of day by which a run is to be published, in the schedule's time zone."
    )
    alerts: list[str] = Field(default_factory=list, description="Who is told when it fails, is late or recovers.")
    params: dict[Name, str | int | float | bool | None] = Field(
        default_factory=dict, description="Names that a run may set, with their defaults."
    )
    tasks: dict[Name, dict[str, Any]] = Field(min_length=1, description="The tasks by name.")


class ProjectModel(Model):
    """`penstock.yml`."""

    name: Annotated[str, StringConstraints(pattern=PROJECT_NAME)] = Field(description="The project's name.")
    description: str = Field("", description="What it is for, in a sentence.")
    connections: dict[Name, dict[str, Any]] = Field(default_factory=dict, description="How to reach what is outside.")
    pools: dict[Name, Annotated[int, Field(ge=1, le=10_000)]] = Field(
        default_factory=dict, description="How many tasks of each pool may run at once."
    )
    alerts: dict[Annotated[str, StringConstraints(pattern=PROJECT_NAME)], str] = Field(
        default_factory=dict,
        max_length=limits.ALERT_TARGETS.value,
        description="Where alerts go, by name: URLs of apprise, such as slack://${secret:SLACK} or mailtos://...",
    )
