"""What comes before what in a pipeline."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from penstock.core.plan import TaskName
from penstock.core.projects import Pipeline


def predecessors(pipeline: Pipeline) -> dict[TaskName, frozenset[TaskName]]:
    """Return the tasks that each task waits for: those that write what it reads, and those it names."""
    writers = {table: task.name for task in pipeline.tasks.values() for table in task.writes}
    return {
        task.name: frozenset(
            [writers[table] for table in task.reads if table in writers and writers[table] != task.name]
            + [before for before in task.after if before in pipeline.tasks]
        )
        for task in pipeline.tasks.values()
    }


def in_order(before: Mapping[TaskName, Collection[TaskName]]) -> list[TaskName]:
    """Return tasks so that each comes after those it waits for; among equals by name, so that it is always the same.

    Those in a circle, and those behind it, are left out.
    """
    waiting = {name: len(set(names)) for name, names in before.items()}
    following: dict[TaskName, list[TaskName]] = {name: [] for name in before}
    for name, names in before.items():
        for each in set(names):
            following[each].append(name)
    ordered: list[TaskName] = []
    ready = sorted(name for name, count in waiting.items() if count == 0)
    while ready:
        ordered += ready
        freed = []
        for each in (name for done in ready for name in following[done]):
            waiting[each] -= 1
            if waiting[each] == 0:
                freed.append(each)
        ready = sorted(freed)
    return ordered
