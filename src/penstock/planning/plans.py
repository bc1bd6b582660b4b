"""Making plans."""

from __future__ import annotations

from typing import Any

from penstock.base.hashing import fingerprint
from penstock.core.plan import Plan, PlannedTask, TaskName


def one_task_plan(name: str, *, kind: str, spec: Any) -> Plan:
    """Return the plan of a job: one task, with nothing before it."""
    return Plan((PlannedTask(TaskName(name), kind, spec, fingerprint(kind, spec)),))
