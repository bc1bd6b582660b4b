"""What a task's result depends on, as one hash. Pure: no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from penstock.base.hashing import fingerprint
from penstock.core.projects import Task
from penstock.core.tables import TableName

_DAILY: Final = "day-"
_DATE: Final = re.compile(r"\bdate\b")


def task_fingerprint(
    task: Task, *, code: str, marks: Mapping[TableName, str | None], date: str | None, params: Mapping[str, Any]
) -> str:
    """Return the hash of all that a task's result depends on; it begins with `day-` when it depends on the date."""
    text, is_daily = _text(task, code)
    used = {name: value for name, value in params.items() if f"${{params.{name}" in text}
    found = fingerprint(task.kind, text, sorted(marks.items()), date if is_daily else None, used)
    return f"{_DAILY}{found}" if is_daily else found


def asks_for_date(task: Task, *, code: str) -> bool:
    """Return whether a task does something else, or is done or not, by the date of its run."""
    return _text(task, code)[1] or (task.when is not None and _DATE.search(task.when) is not None)


def is_of_date(fingerprint: str) -> bool:
    """Return whether what has a fingerprint does something else for another date."""
    return fingerprint.startswith(_DAILY)


def _text(task: Task, code: str) -> tuple[str, bool]:
    """Return all that a task says, and whether the date of the run stands in it."""
    said = spec_json(task)
    text = json.dumps([said, task.for_each, task.when, code], sort_keys=True, default=str)
    return text, (said.get("window") == "day" if isinstance(said, Mapping) else False) or "${date" in text


def spec_json(task: Task) -> Any:
    """Return what a task says to its kind, as JSON."""
    return task.spec.model_dump(mode="json", by_alias=True) if hasattr(task.spec, "model_dump") else task.spec
