"""Calls a script of yours once, in a locked child, with what the task says under `with`.

For a step that moves no data: to work something out from the date and the parameters, or to fail the run on purpose.
The function is `process(record)`; the record is `with`, and beside it the run's `date`, `params` and `item`. It has no
network and no files, as every script; what it returns is not kept, and an exception that it raises fails the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from penstock.core.errors import TaskFailed
from penstock.core.ports import PipelineContext
from penstock.core.projects import Project, ProjectProblem, Task
from penstock.core.scripts import Chunk
from penstock.tasks.named_scripts import script_hash, script_place, script_problems, script_version

_SEGMENT: Final = (None, 1, 1, 1, 1)


class CallSpec(BaseModel):
    """What a task of the kind `call` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    script: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(@[^@\s]+)?$")] = Field(
        description="The script: `notify` is the project's scripts/notify.py, `notify@^1.2` one that is registered."
    )
    given: dict[str, Any] = Field(default_factory=dict, alias="with", description="What the function is given.")


class CallTask:
    """Calls a script."""

    name: ClassVar = "call"
    Spec = CallSpec
    follows_publish = False
    publishes = False

    def reads(self, _spec: CallSpec, /) -> Iterable[str]:
        """Return no table."""
        return ()

    writes = reads

    def code(self, spec: CallSpec, project: Project, /) -> str:
        """Return the hash of the script's files; `${date}` in it, since the script is given the date."""
        return f"${{date}} {script_hash(spec.script, project)}"

    def problems(self, task: Task, project: Project, /) -> Iterator[ProjectProblem]:
        """Return what is wrong with the script."""
        return script_problems(task, project)

    def run(self, spec: CallSpec, ctx: PipelineContext, /) -> Mapping[str, Any]:
        """Call the script.

        Raises:
            TaskFailed: with the name and line of what it raised.
        """
        now = ctx.occurrence
        given = {"date": now.date, "params": dict(now.params), "item": now.item, **spec.given}
        chunk = Chunk("with", "ndjson", orjson.dumps(given) + b"\n", 1, (_SEGMENT,))
        version = script_version(spec.script, ctx)
        with ctx.sandbox.open_script(version, parallel=1) as runner, ctx.stopping(runner.stop):
            (_, result), *_ = ctx.run_in_order(runner, [chunk], seed=now.fingerprint, emit="ndjson")
        if result.printed:
            ctx.log(result.printed)
        if result.failed:
            cause = result.causes[0]
            line = f" at line {cause.script_line}" if cause.script_line else ""
            raise TaskFailed(
                f"{spec.script} failed{line}: {cause.type or cause.code}",
                hint="Correct the script, or what it is given under with, then resume the run.",
                figures={"line": cause.script_line, **script_place(spec.script, version)},
            )
        return {}


KIND: Final = CallTask()
