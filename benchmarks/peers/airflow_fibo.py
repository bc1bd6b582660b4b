"""A DAG of fibo(10) tasks one after the other, as Airflow reads it from its folder of DAGs."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task

TIMES = 40


@task
def fibo_task(n: int) -> int:
    """Return a Fibonacci number."""

    def fibo(n: int) -> int:
        return n if n <= 1 else fibo(n - 1) + fibo(n - 2)

    return fibo(n)


@dag(dag_id="fibo_chain", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)
def chain() -> None:
    """Put the tasks one behind the other."""
    before = None
    for number in range(TIMES):
        this = fibo_task.override(task_id=f"fibo_{number}")(10)
        if before is not None:
            before >> this
        before = this


chain()
