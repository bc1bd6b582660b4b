"""A plan as JSON: one form, for the API and for `--json` on a terminal."""

from __future__ import annotations

from typing import Any

from penstock.core.run_views import plain
from penstock.planning.pipelines import Decision, PipelinePlan


def show_plan(plan: PipelinePlan, *, project: str) -> dict[str, Any]:
    """Return what a run would do."""
    return {
        "project": project,
        "pipeline": plan.pipeline,
        "revision": plan.revision,
        "date": plan.occasion.date,
        "timezone": plan.timezone,
        "params": plain(plan.occasion.params),
        "again": plan.occasion.again,
        "tasks": [_show_decision(decision) for decision in plan.decisions],
    }


def _show_decision(decision: Decision) -> dict[str, Any]:
    return {
        "name": decision.task,
        "kind": decision.kind,
        "action": decision.action,
        "reason": decision.reason,
        "after": list(decision.after),
        "reads": {table: None if head is None else str(head) for table, head in decision.reads.items()},
        "writes": list(decision.writes),
        "fingerprint": decision.fingerprint,
    }
