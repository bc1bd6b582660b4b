"""Files of the project that a task names: whether they are there, what their templates stand for, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from penstock.base.hashing import fingerprint
from penstock.base.nearest import nearest
from penstock.core.ports import PipelineContext
from penstock.core.projects import Pipeline, Project, ProjectProblem, Task
from penstock.core.templates import Meanings, filled, names_in, unknown_names


def meanings(ctx: PipelineContext) -> Meanings:
    """Return what templates stand for in an attempt."""
    now = ctx.occurrence
    return Meanings(now.date, now.run, now.params, now.item)


def filled_sql(ctx: PipelineContext, path: str) -> str:
    """Return a file of SQL with what its templates stand for."""
    return str(filled(ctx.file(path).decode("utf-8"), meanings(ctx), sql=True))


def text_hash(project: Project, path: str | None) -> str:
    """Return the hash of a file, and the names that its templates have: what a task's result depends on."""
    content = b"" if path is None else project.files.get(path, b"")
    names = sorted(f"${{{name}}}" for name in names_in(content.decode("utf-8", "replace")))
    return " ".join([fingerprint(path, content.hex()), *names])


def file_version(project: Project, path: str) -> str:
    """Return a file as it is now in a few characters, for lineage: its path, and what `sha256sum` begins with."""
    return f"{path}#{hashlib.sha256(project.files[path]).hexdigest()[:12]}"


def missing_file(task: Task, project: Project, field: str, path: str, *, ending: str) -> Iterator[ProjectProblem]:
    """Yield the problem of a file that is not in the project."""
    if path not in project.files:
        alike = [name for name in project.files if name.endswith(ending)]
        yield problem(task, f"{field}: the project has no file {path}", nearest(path, alike), field)


def text_problems(task: Task, project: Project, field: str, path: str, *, ending: str) -> Iterator[ProjectProblem]:
    """Yield what is wrong with a text that a task names: it is not there, is no text, or asks for what there is not."""
    if path not in project.files:
        yield from missing_file(task, project, field, path, ending=ending)
        return
    try:
        text = project.files[path].decode("utf-8")
    except UnicodeDecodeError:
        yield problem(task, f"{field}: {path} is not UTF-8 text", "Save it as UTF-8.", field)
        return
    if not text.strip():
        yield problem(task, f"{field}: {path} is empty", "Write something into it.", field)
    params = pipeline_of(task, project).params
    for found in unknown_names(text, params=params, item=task.for_each is not None):
        line = text[: text.find(found.found)].count("\n") + 1
        words = f"{path}:{line}: {found.found[:80]!r} stands for nothing here"
        yield problem(task, words, nearest(found.found.strip("${} "), found.valid), field)


def pipeline_of(task: Task, project: Project) -> Pipeline:
    """Return the pipeline that a task is in."""
    return next(one for one in project.pipelines.values() if one.tasks.get(task.name) is task)


def problem(task: Task, message: str, hint: str, *path: str | int) -> ProjectProblem:
    """Return something that is wrong with a value of a task."""
    return ProjectProblem("project_invalid", message, task.place_of(*path), hint)
