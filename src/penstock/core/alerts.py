"""Incidents of pipelines, and who is told what of them. Pure.

An incident is a pipeline that does not do what it should, from the first run that shows it to the first that shows
the opposite. Its beginning is told once, whatever is tried again meanwhile, and so is its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NewType
from urllib.parse import unquote

from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId
from penstock.core.runs import CheckResult, PipelineRun, RunTask

IncidentId = NewType("IncidentId", str)
IncidentKind = Literal["failed", "late", "check_failed"]
DeliveryState = Literal["waiting", "sent", "failed"]

_KIND_WORDS: Final[Mapping[IncidentKind, str]] = {
    "failed": "failed",
    "late": "is late",
    "check_failed": "failed a check",
}
_BETWEEN: Final = re.compile(r"[/:@?&=#]+")  # the parts of a URL, when all of it is a secret
_PART_LETTERS: Final = 4
_CHECKS_SHOWN: Final = 5
_LETTERS_SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class Incident:
    """A pipeline that does not do what it should.

    Attributes:
        run: the first that showed it; None when one is late that nobody has made.
        date: the logical date of that run.
        closed_by: the run that showed the opposite.
        runs: how many runs have shown it.
    """

    id: IncidentId
    workspace: WorkspaceId
    project: str
    pipeline: str
    kind: IncidentKind
    opened_at: float
    revision: str
    run: RunId | None = None
    date: str | None = None
    closed_at: float | None = None
    closed_by: RunId | None = None
    runs: int = 1


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents to list, newest first.

    Attributes:
        over: whether they are over; None for all.
        before: the id after which the list goes on; None for its begin.
    """

    project: str | None = None
    pipeline: str | None = None
    over: bool | None = None
    before: IncidentId | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Alert:
    """What people are told: never a value of a row, and no secret."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """An alert on its way to one of those who are told.

    Attributes:
        target: a name under `alerts` in the project; empty as long as nobody has looked whom the pipeline names.
        due_at: when to try, seconds since 1970.
        attempts: how many have been made.
    """

    id: str
    workspace: WorkspaceId
    project: str
    pipeline: str
    revision: str
    incident: IncidentId
    alert: Alert
    created_at: float
    due_at: float
    target: str = ""
    state: DeliveryState = "waiting"
    attempts: int = 0
    last_error: str | None = None
    sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the end of a run says of its pipeline's incidents.

    Attributes:
        shows: the kind of incident that it shows, None when it shows none.
        again: an open incident of that kind.
        closes: open incidents that are over.
    """

    shows: IncidentKind | None = None
    again: Incident | None = None
    closes: tuple[Incident, ...] = ()


def telling(deliveries: Iterable[Delivery]) -> Literal["nobody", "waiting", "told", "failed"]:
    """Return how far telling people of an incident has come; `failed` when somebody could not be told at all."""
    states = {delivery.state for delivery in deliveries if delivery.target or delivery.state != "sent"}
    if "failed" in states:
        return "failed"
    if "waiting" in states:
        return "waiting"
    return "told" if states else "nobody"


def without_secrets(words: str, secrets: Iterable[str]) -> str:
    """Return words without any part of the secrets of a URL, as a receiver or a library may repeat them."""
    known = {text for secret in secrets for text in (secret, unquote(secret))}
    parts = {part for text in known for part in _BETWEEN.split(text) if len(part) >= _PART_LETTERS} | known
    for part in sorted(parts - {""}, key=len, reverse=True):
        words = words.replace(part, "***")
    return words


def judge_end(run: PipelineRun, *, checks: Iterable[CheckResult], open_incidents: Sequence[Incident]) -> Judgement:
    """Return what the end of a run says.

    A run of an older date than an incident's says nothing of it: a back-fill of last year does not mend yesterday.

    Args:
        run: that has ended; one that was cancelled says nothing.
        checks: the results of its suites.
        open_incidents: of its pipeline.
    """
    if run.state == "cancelled":
        return Judgement()
    shows: IncidentKind | None = None
    if run.state == "failed":
        codes = {(task.error or {}).get("code") for task in run.tasks if task.state == "failed"}
        shows = "check_failed" if "check_failed" in codes else "failed"
    elif any(not check.success for check in checks):
        shows = "check_failed"
    over: set[IncidentKind] = set()
    if run.state == "succeeded":
        over = {"failed", "late"} if shows else {"failed", "late", "check_failed"}
    elif run.published_at is not None:
        over = {"late"}
    return Judgement(
        shows=shows,
        again=next((incident for incident in open_incidents if incident.kind == shows), None),
        closes=tuple(each for each in open_incidents if each.kind in over and _says_something(run, each)),
    )


def is_to_be_told(deliveries: Sequence[Delivery], revision: str) -> bool:
    """Return whether an incident is news: to everybody, or because nobody was named before this revision."""
    return all(each.state == "sent" and not each.target and each.revision != revision for each in deliveries)


def words_of_end(incident: Incident, run: PipelineRun, *, checks: Iterable[CheckResult]) -> Alert:
    """Return what is told of an incident that a run has opened."""
    lines = [*_about(incident, run.id)]
    for task in run.tasks:
        if task.state == "failed":
            lines.append(f"task: {task.name} ({task.kind})")
            lines += [f"error: {_error(task)}"] if task.error else []
    lines += [f"check: {_check(check)}" for check in checks if not check.success]
    where = "nothing of it is published" if run.published_at is None else "its tables are published"
    lines += [where, "", f"look:  penstock status {run.id} --server", f"       penstock logs {run.id} --server"]
    if run.state == "failed":
        lines.append(f"then:  penstock resume {run.id} --server")
    return Alert(_subject(incident, _KIND_WORDS[incident.kind]), "\n".join(lines))


def words_of_lateness(incident: Incident, *, deadline: str, timezone: str) -> Alert:
    """Return what is told of a run that is not published by its deadline."""
    lines = [
        *_about(incident, incident.run),
        f"deadline: {deadline} {timezone}" + ("" if incident.run else "; no run has been made for that date"),
        "",
        f"look:  penstock status {incident.run} --server" if incident.run else "look:  penstock status --server",
    ]
    return Alert(_subject(incident, _KIND_WORDS["late"]), "\n".join(lines))


def words_of_recovery(closed: Sequence[Incident], run: PipelineRun) -> Alert:
    """Return what is told when incidents are over."""
    first = closed[0]
    lines = [f"pipeline: {first.project}/{first.pipeline}", f"run: {run.id}" + (f" of {run.date}" if run.date else "")]
    for incident in closed:
        shown = f"{incident.runs} runs" if incident.runs > 1 else "one run"
        since = f", the first of {incident.date}" if incident.date else ""
        lines.append(f"over: {_KIND_WORDS[incident.kind]} ({shown}{since})")
    return Alert(f"{first.project}/{first.pipeline} has recovered", "\n".join(lines))


def words_of_test(project: str, target: str) -> Alert:
    """Return what a test says."""
    return Alert(
        f"{project}: a test of alerts",
        f"This is a test: alerts of {project} that name {target!r} arrive here. Nothing has happened.",
    )


def _says_something(run: PipelineRun, incident: Incident) -> bool:
    """Return whether a success of a run ends an incident."""
    return run.id == incident.run or run.date is None or incident.date is None or run.date >= incident.date


def _about(incident: Incident, run: RunId | None) -> Iterable[str]:
    yield f"pipeline: {incident.project}/{incident.pipeline}, revision {incident.revision[:12]}"
    if run is not None:
        yield f"run: {run}" + (f" of {incident.date}" if incident.date else "")
    elif incident.date:
        yield f"date: {incident.date}"


def _subject(incident: Incident, words: str) -> str:
    return f"{incident.project}/{incident.pipeline} {words}" + (f" ({incident.date})" if incident.date else "")


def _error(task: RunTask) -> str:
    error = task.error or {}
    return f"{error.get('message', '')} [{error.get('code', '')}]"[:_LETTERS_SHOWN]


def _check(check: CheckResult) -> str:
    """Return which expectations of a suite were not met, and of which columns."""
    unmet = [_expectation(verdict) for verdict in check.verdicts if not verdict.get("success", True)]
    more = f" and {len(unmet) - _CHECKS_SHOWN} more" if len(unmet) > _CHECKS_SHOWN else ""
    named = f": {', '.join(unmet[:_CHECKS_SHOWN])}{more}" if unmet else ""
    return f"{check.suite} on {check.table}, {check.failed} of {check.evaluated} not met{named}"


def _expectation(verdict: Mapping[str, Any]) -> str:
    config = verdict.get("expectation_config", {})
    column = config.get("kwargs", {}).get("column")
    return f"{config.get('type', '?')}" + (f" ({column})" if column else "")
