"""`penstock process`: a script over files, without a server."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.core.ports import Records, TaskContext, TaskKind
from penstock.core.processing import ScriptReport, ScriptSpec
from penstock.execution.attempt import carry_out
from penstock.planning.plans import one_task_plan


def process(spec: ScriptSpec, *, records: Records, kinds: Mapping[str, TaskKind], context: TaskContext) -> ScriptReport:
    """Run a script over its inputs, as a run of a plan with one task, and return the account of every record.

    Raises:
        PenstockError: as the attempt ended with.
    """
    plan = one_task_plan("process", kind="script", spec=spec)
    run = carry_out(records.start_run(plan), kinds=kinds, context=context, records=records)
    attempt = run.attempts[plan.tasks[0].name][-1]
    if attempt.error is not None:
        raise attempt.error
    assert isinstance(attempt.report, ScriptReport), "the kind script reports in this form"
    return attempt.report
