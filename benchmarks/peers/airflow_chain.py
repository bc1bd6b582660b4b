"""DAGs of tasks that do nothing, one after the other, as Airflow reads them; CHAINS says how many tasks each has."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.sdk import dag, task


@task
def step(value: int) -> int:
    """Pass on what came."""
    return value + 1


def make(count: int) -> None:
    """Make a DAG of so many tasks."""

    @dag(dag_id=f"chain_{count}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)
    def chain() -> None:
        value = 0
        for number in range(count):
            value = step.override(task_id=f"step_{number}")(value)

    chain()


for given in os.environ["CHAINS"].split(","):
    make(int(given))
