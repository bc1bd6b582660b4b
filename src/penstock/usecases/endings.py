"""Ending a job, whoever ends it: its record, and the message to whom wanted to be told."""

from __future__ import annotations

from typing import Any

from penstock.core.jobs import RunState
from penstock.core.ports import Queue, WorkRecords
from penstock.core.work import Ending
from penstock.core.work import Work as JobWork
from penstock.execution.advance import webhook_entry


def end_job(tx: Any, work: JobWork, ending: Ending, *, records: WorkRecords, queue: Queue) -> RunState:
    """Record how a job ended, queue its webhook if it has one, and return its last state."""
    records.close_job(tx, ending)
    if work.options.webhook is not None:
        records.add_delivery(tx, work)
        queue.enqueue(tx, [webhook_entry(work)])
    return ending.state
