"""Ending jobs, whoever ends them: their records, and the messages to those who wanted to be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.core.ports import Queue, WorkRecords
from penstock.core.work import Ending
from penstock.core.work import Work as JobWork
from penstock.execution.advance import webhook_entry


def end_jobs(tx: Any, endings: Sequence[tuple[JobWork, Ending]], *, records: WorkRecords, queue: Queue) -> None:
    """Record how jobs ended, and queue the webhooks of those that have one."""
    records.close_jobs(tx, [ending for _, ending in endings])
    for work, _ in endings:
        if work.options.webhook is not None:
            records.add_delivery(tx, work)
            queue.enqueue(tx, [webhook_entry(work)])
