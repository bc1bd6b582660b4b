"""Scripts that tasks name: the project's own by a bare name, those that are registered as `name@range`."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Final

from penstock.base.hashing import fingerprint
from penstock.core.errors import ProjectInvalid
from penstock.core.ports import PipelineContext
from penstock.core.projects import Project, ProjectProblem, Task
from penstock.core.scripts import ScriptVersion
from penstock.project.scripts import project_script
from penstock.tasks.project_texts import problem

_HASHES_KEPT: Final = 64  # each keeps the script's bytes: at most a MiB


def script_hash(said: str, project: Project) -> str:
    """Return the hash of the script's files in the project; of its name alone when it is a registered one."""
    script, _ = project_script(said, project.files)
    files = () if script is None else script.files
    return _hash(said, tuple((path, project.files[path]) for path in files))


@functools.lru_cache(_HASHES_KEPT)
def _hash(said: str, files: tuple[tuple[str, bytes], ...]) -> str:
    return fingerprint(said, [(path, content.hex()) for path, content in files])


def script_problems(task: Task, project: Project) -> Iterator[ProjectProblem]:
    """Yield what is wrong with a task's script: it is not there, or what is said of it is not valid."""
    if "@" in task.spec.script:
        return
    script, problems = project_script(task.spec.script, project.files)
    if script is None and not any(one.place.file in project.files for one in problems):
        yield from (problem(task, f"script: {one.message}", one.hint, "script") for one in problems)
    else:
        yield from problems


def script_version(said: str, ctx: PipelineContext) -> ScriptVersion:
    """Return the version that an attempt runs.

    Raises:
        ProjectInvalid: when the project has no such script.
        NotFound: when the workspace has registered none that fits.
    """
    name, _, wanted = said.partition("@")
    if wanted:
        return ctx.registered_script(name, wanted)
    script, problems = project_script(name, ctx.project.files)
    if script is None:
        raise ProjectInvalid(list(problems))
    return script.version


def script_place(said: str, version: ScriptVersion) -> Mapping[str, str]:
    """Return the file of a project's own script, for those who look for what failed; nothing of a registered one."""
    return {} if "@" in said else {"file": version.name}
