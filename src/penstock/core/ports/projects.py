"""Ports of projects: what the kinds of tasks and connections say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from penstock.core.projects import Project, ProjectProblem, Task


class PipelineKind(Protocol):
    """One kind of task as a project knows it: a file in `tasks/`.

    Attributes:
        Spec: a pydantic model of what a task of this kind says; every field has a description.
    """

    Spec: Any

    def reads(self, spec: Any, /) -> Iterable[str]:
        """Return the tables that a task reads."""

    def writes(self, spec: Any, /) -> Iterable[str]:
        """Return the tables that a task writes."""

    def problems(self, task: Task, project: Project, /) -> Iterable[ProjectProblem]:
        """Return what is wrong with what a task names: files, connections, suites."""


class ConnectionKind(Protocol):
    """One kind of connection: a file in `connectors/`.

    Attributes:
        Spec: a pydantic model of its settings.
    """

    Spec: Any
