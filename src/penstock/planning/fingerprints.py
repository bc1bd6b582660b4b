"""What a task's result depends on, as one hash. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from penstock.base.hashing import fingerprint
from penstock.core.projects import Task
from penstock.core.tables import TableName

_DAILY: Final = "day-"


def task_fingerprint(
    task: Task, *, code: str, marks: Mapping[TableName, str | None], date: str | None, params: Mapping[str, Any]
) -> str:
    """Return the hash of all that a task's result depends on; it begins with `day-` when it depends on the date."""
    said = spec_json(task)
    text = json.dumps([said, task.for_each, task.when, code], sort_keys=True, default=str)
    is_daily = (said.get("window") == "day" if isinstance(said, Mapping) else False) or "${date" in text
    used = {name: value for name, value in params.items() if f"${{params.{name}" in text}
    found = fingerprint(task.kind, text, sorted(marks.items()), date if is_daily else None, used)
    return f"{_DAILY}{found}" if is_daily else found


def is_of_date(fingerprint: str) -> bool:
    """Return whether what has a fingerprint does something else for another date."""
    return fingerprint.startswith(_DAILY)


def spec_json(task: Task) -> Any:
    """Return what a task says to its kind, as JSON."""
    return task.spec.model_dump(mode="json", by_alias=True) if hasattr(task.spec, "model_dump") else task.spec
