"""What a task's result depends on, as one hash. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from penstock.base.hashing import fingerprint
from penstock.core.projects import Task
from penstock.core.runs import RunTask
from penstock.core.tables import TableName


def task_fingerprint(
    task: Task, *, code: str, marks: Mapping[TableName, str | None], date: str | None, params: Mapping[str, Any]
) -> str:
    """Return the hash of all that a task's result depends on."""
    text = _text(spec_json(task), task)
    how = {"when": task.when, "for_each": task.for_each}
    used = {name: value for name, value in params.items() if f"${{params.{name}" in text}
    return fingerprint(task.kind, text, how, code, sorted(marks.items()), date if depends_on_date(task) else None, used)


def depends_on_date(task: Task | RunTask) -> bool:
    """Return whether a task does something else for another date."""
    said = task.spec if isinstance(task, RunTask) else spec_json(task)
    window = said.get("window", "all") if isinstance(said, Mapping) else "all"
    return window == "day" or "${date" in _text(said, task)


def spec_json(task: Task) -> Any:
    """Return what a task says to its kind, as JSON."""
    return task.spec.model_dump(mode="json", by_alias=True) if hasattr(task.spec, "model_dump") else task.spec


def _text(said: Any, task: Task | RunTask) -> str:
    return json.dumps([said, task.for_each, task.when], sort_keys=True, default=str)
