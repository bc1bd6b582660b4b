"""What is ready now? Pure: a run in, a decision out."""

from __future__ import annotations

from penstock.core.plan import PlannedTask, Run


def ready(run: Run) -> tuple[PlannedTask, ...]:
    """Return the tasks that can be tried now: not tried yet, and everything before them has succeeded."""
    return tuple(
        task
        for task in run.plan.tasks
        if run.state(task.name) == "waiting" and all(run.state(before) == "succeeded" for before in task.after)
    )
