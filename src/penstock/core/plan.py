"""Plans and runs: the waist. Everything above makes a Plan; everything below carries one out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NewType

RunId = NewType("RunId", str)
TaskName = NewType("TaskName", str)
TaskState = Literal["waiting", "running", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """One node of a plan.

    Attributes:
        kind: its task kind.
        spec: what the kind needs, checked by it.
        fingerprint: the same for the same code, inputs and settings; hexadecimal SHA-256.
        after: the tasks that must have succeeded before.
    """

    name: TaskName
    kind: str
    spec: Any
    fingerprint: str
    after: tuple[TaskName, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked, frozen graph of tasks for one run."""

    tasks: tuple[PlannedTask, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a task: how it ended, and what the kind reports of it."""

    task: TaskName
    state: TaskState
    report: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A plan being carried out."""

    id: RunId
    plan: Plan
    attempts: Mapping[TaskName, tuple[Attempt, ...]] = field(default_factory=dict)

    def state(self, task: TaskName) -> TaskState:
        """Return how far a task has come: the state of its last attempt."""
        attempts = self.attempts.get(task, ())
        return attempts[-1].state if attempts else "waiting"
