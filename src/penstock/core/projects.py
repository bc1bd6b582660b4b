"""Projects: what a team keeps in a folder, read and checked. Every value knows where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NewType

from penstock.core.plan import TaskName
from penstock.core.tables import TableName

PipelineName = NewType("PipelineName", str)
Trigger = Literal["all_succeeded", "all_done"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands in a project: line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class ProjectProblem:
    """One thing that is wrong with a project.

    Attributes:
        code: stable; its page is `docs/errors/<code>.md`.
        message: what is wrong, with the value found and what would be valid.
        hint: what to do, in the imperative.
    """

    code: str
    message: str
    place: Place
    hint: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message} [{self.code}]"


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach something outside.

    Attributes:
        spec: what its kind needs; secrets in it are `${secret:NAME}` still.
    """

    name: str
    kind: str
    spec: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a pipeline runs by itself.

    Attributes:
        cron: five fields, in the time zone.
        catch_up: whether dates that passed while nothing ran are run too.
        runs_max: at most so many runs at once.
    """

    cron: str
    timezone: str = "UTC"
    catch_up: bool = False
    runs_max: int = 1
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One node of a pipeline, as the project says it.

    Attributes:
        spec: what its kind needs, checked by it.
        reads: tables that it reads.
        writes: tables that it writes.
        after: tasks that must have ended before, besides those that write what it reads.
        when: an expression over parameters, dates and outcomes; None is always.
        for_each: what it is done once for each of; None is once.
        timeout_s: of one attempt.
        pool: the name of what bounds how many run at once.
        places: where each of its values stands, by the names that lead to it.
        names: where the name before a value stands, likewise.
    """

    name: TaskName
    kind: str
    spec: Any
    place: Place
    reads: tuple[TableName, ...] = ()
    writes: tuple[TableName, ...] = ()
    after: tuple[TaskName, ...] = ()
    when: str | None = None
    for_each: Mapping[str, Any] | None = None
    retries: int = 0
    timeout_s: float | None = None
    pool: str | None = None
    trigger: Trigger = "all_succeeded"
    places: Mapping[tuple[str | int, ...], Place] = field(default_factory=dict, repr=False, compare=False)
    names: Mapping[tuple[str | int, ...], Place] = field(default_factory=dict, repr=False, compare=False)

    def place_of(self, *path: str | int) -> Place:
        """Return where a value stands, such as `place_of("from", "path")`, or the nearest around it that is there."""
        for length in range(len(path), 0, -1):
            if (place := self.places.get(path[:length])) is not None:
                return place
        return self.place


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A named graph of tasks.

    Attributes:
        deadline: time of day, in the schedule's time zone, by which its run is to be published.
        alerts: who is told when a run fails, is late, or recovers.
        params: names with their defaults.
    """

    name: PipelineName
    description: str
    tasks: Mapping[TaskName, Task]
    place: Place
    schedule: Schedule | None = None
    deadline: str | None = None
    alerts: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Project:
    """Everything in a project's folder, checked.

    Attributes:
        revision: hash of all its files; hexadecimal SHA-256.
        alerts: URLs by the names that pipelines tell; secrets in them are `${secret:NAME}` still.
        files: the content of every tracked file, by its path from the folder.
    """

    name: str
    revision: str
    pipelines: Mapping[PipelineName, Pipeline]
    connections: Mapping[str, Connection]
    pools: Mapping[str, int]
    alerts: Mapping[str, str] = field(repr=False, default_factory=dict)
    files: Mapping[str, bytes] = field(repr=False, default_factory=dict)
