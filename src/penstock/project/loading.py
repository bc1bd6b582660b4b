"""The files of a project read into a Project, or into everything that is wrong with it at once. Pure."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from penstock.base.nearest import nearest
from penstock.core import limits
from penstock.core.errors import ProjectInvalid, RequestInvalid
from penstock.core.plan import TaskName
from penstock.core.ports import ConnectionKind, PipelineKind
from penstock.core.projects import (
    Connection,
    Pipeline,
    PipelineName,
    Place,
    Project,
    ProjectProblem,
    Schedule,
    Task,
)
from penstock.core.tables import TableName, table_name
from penstock.project.alert_names import problems_of_names, problems_of_urls
from penstock.project.checking import check, what_holds
from penstock.project.durations import parse_duration
from penstock.project.expressions import problems_of_expressions, tables_of_items
from penstock.project.models import NAME, PipelineModel, ProjectModel, TaskModel
from penstock.project.order import in_order, predecessors
from penstock.project.secret_references import problems_elsewhere, problems_of_connection, texts
from penstock.project.yaml_trees import Path, Tree, read_yaml

MANIFEST: Final = "penstock.yml"
PIPELINES: Final = "pipelines"
_LEVELS: Final = 2  # of a pipeline's path
_COMMON: Final = frozenset(TaskModel.model_fields)


def load_project(
    files: Mapping[str, bytes], *, kinds: Mapping[str, PipelineKind], connection_kinds: Mapping[str, ConnectionKind]
) -> Project:
    """Return the project that files make.

    Args:
        files: content by path from the project's folder, with `/` between names.
        kinds: of tasks, by name.
        connection_kinds: of connections, by name.

    Raises:
        ProjectInvalid: with the problems of all files, in the order of files and lines; the first hundred.
    """
    loading = _Loading(files, kinds, connection_kinds)
    project = loading.load()
    if project is None or loading.problems:
        found = sorted(set(loading.problems), key=lambda problem: problem.place)
        raise ProjectInvalid(found[: limits.PROJECT_PROBLEMS.value])
    return project


def revision(files: Mapping[str, bytes]) -> str:
    """Return the hash of a project's files: the same for the same names and bytes."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{len(name.encode())}:{name}:{len(files[name])}:".encode())
        digest.update(files[name])
    return digest.hexdigest()


@dataclass(slots=True)
class _Loading:
    files: Mapping[str, bytes]
    kinds: Mapping[str, PipelineKind]
    connection_kinds: Mapping[str, ConnectionKind]
    problems: list[ProjectProblem] = field(default_factory=list)
    incomplete: set[tuple[PipelineName, TaskName]] = field(default_factory=set)
    values: int = 0
    tasks: int = 0

    def load(self) -> Project | None:
        manifest, tree = self._read(MANIFEST, ProjectModel)
        connections = {} if manifest is None else dict(self._connections(manifest, tree))
        pipelines = dict(self._pipelines(manifest))
        if manifest is None:
            return None
        self.problems += problems_of_urls(manifest.alerts, tree)
        project = Project(
            name=manifest.name,
            revision=revision(self.files),
            pipelines=pipelines,
            connections=connections,
            pools=dict(manifest.pools),
            alerts=dict(manifest.alerts),
            files=self.files,
        )
        self._check_uses(project)
        return project

    def _read(self, name: str, model: type[Any]) -> tuple[Any, Tree]:
        content = self.files.get(name)
        if content is None:
            tree = Tree(places={(): Place(name, 1, 1)})
            self._note(tree.place(()), f"there is no {name}", "Make one: penstock init NAME")
            return None, tree
        tree = read_yaml(name, content)
        self.problems += tree.problems
        if tree.value is None and tree.problems:
            return None, tree
        self._count(tree)
        found = check(model, tree.value, tree=tree, path=(), problems=self.problems)
        return (_what_there_is(model, tree.value) if found is None else found), tree

    def _count(self, tree: Tree) -> None:
        """Count a file, and go no further when the project has more by now than is checked."""
        tasks = tree.value.get("tasks") if isinstance(tree.value, Mapping) else None
        self.values += tree.size
        self.tasks += len(tasks) if isinstance(tasks, Mapping) else 0
        for count, limit in ((self.values, limits.PROJECT_VALUES), (self.tasks, limits.PROJECT_TASKS)):
            if count > limit.value:
                words = f"with this file the project has {count:,} {limit.unit}; it has {limit.value:,} at most"
                hint = "Split the project, and put data into tables."
                raise ProjectInvalid([ProjectProblem("project_invalid", words, tree.place(()), hint)])

    def _connections(self, manifest: ProjectModel, tree: Tree) -> Iterator[tuple[str, Connection]]:
        for name, given in manifest.connections.items():
            path: Path = ("connections", name)
            kind_name = given.get("kind")
            kind = self.connection_kinds.get(str(kind_name))
            if kind is None:
                self._unknown_kind("connection", kind_name, self.connection_kinds, tree, path)
                yield name, Connection(name, str(kind_name), None, tree.key_place(path))
                continue
            self.problems += problems_of_connection(name, given, tree, path)
            settings = {key: value for key, value in given.items() if key != "kind"}
            spec = check(kind.Spec, settings, tree=tree, path=path, problems=self.problems)
            yield name, Connection(name, str(kind_name), spec, tree.key_place(path))

    def _pipelines(self, manifest: ProjectModel | None) -> Iterator[tuple[PipelineName, Pipeline]]:
        names: dict[str, str] = {}
        for name in sorted(self.files):
            path = PurePosixPath(name)
            if path.parts[0] != PIPELINES or path.suffix not in (".yml", ".yaml"):
                continue
            if self._fits(name, path, names):
                names[path.stem] = name
                model, tree = self._read(name, PipelineModel)
                if model is not None:
                    yield PipelineName(path.stem), self._pipeline(path.stem, model, tree, manifest)
        if not names and manifest is not None:
            words, hint = (
                f"the project has no pipeline: no {PIPELINES}/NAME.yml",
                "Write one, such as pipelines/sales.yml.",
            )
            self._note(Place(MANIFEST, 1, 1), words, hint)

    def _fits(self, name: str, path: PurePosixPath, names: Mapping[str, str]) -> bool:
        """Return whether a file's name is one that a pipeline can have."""
        place = Place(name, 1, 1)
        if len(path.parts) != _LEVELS:
            self._note(place, f"{name} is not read: it stands too deep", f"Move it to {PIPELINES}/{path.name}.")
        elif not re.fullmatch(NAME, path.stem):
            hint = "Rename the file: small letters, digits and _, a letter first, at most 63."
            self._note(place, f"{path.stem!r} is no valid name of a pipeline", hint)
        elif path.stem in names:
            self._note(place, f"the pipeline {path.stem!r} is already in {names[path.stem]}", "Rename one of the two.")
        else:
            return True
        return False

    def _pipeline(self, name: str, model: PipelineModel, tree: Tree, manifest: ProjectModel | None) -> Pipeline:
        tasks = {}
        pools = None if manifest is None else manifest.pools
        if manifest is not None:
            self.problems += problems_of_names(model.alerts, manifest.alerts, tree)
        parts = tree.parts(("tasks",))
        for task_name, given in model.tasks.items():
            if len(self.problems) >= limits.PROJECT_PROBLEMS.value:
                break
            self.problems += problems_elsewhere(given, tree, ("tasks", task_name))
            task, is_whole = self._task(TaskName(task_name), given, tree, parts[task_name])
            tasks[task.name] = task
            if not is_whole:
                self.incomplete.add((PipelineName(name), task.name))
            if task.pool is not None and pools is not None and task.pool not in pools:
                place = tree.place(("tasks", task_name, "pool"))
                self._note(place, f"there is no pool {task.pool!r}", nearest(task.pool, pools) + f" See {MANIFEST}.")
        for task in tasks.values():
            for index, before in enumerate(task.after):
                if before not in model.tasks and len(self.problems) < limits.PROJECT_PROBLEMS.value:
                    place = tree.place(("tasks", task.name, "after", index))
                    self._note(place, f"there is no task {before!r}", nearest(before, model.tasks))
        if model.deadline is not None and ("schedule",) not in tree.places:
            hint = "Give it a schedule, in whose time zone the deadline is meant, or take the deadline away."
            self._note(tree.key_place(("deadline",)), "a pipeline without a schedule has no deadline", hint)
        schedule = None if model.schedule is None else Schedule(**model.schedule.model_dump())
        return Pipeline(
            name=PipelineName(name),
            description=model.description,
            tasks=tasks,
            place=tree.place(()),
            schedule=schedule,
            deadline=model.deadline,
            alerts=tuple(model.alerts),
            params=dict(model.params),
        )

    def _task(self, name: TaskName, given: dict[str, Any], tree: Tree, part: Tree) -> tuple[Task, bool]:
        """Return a task, or as much of it as holds, and whether that is all."""
        path: Path = ("tasks", name)
        found = len(self.problems)
        kind_name = given.get("kind")
        kind = self.kinds.get(kind_name) if isinstance(kind_name, str) else None
        if kind is None:
            self._unknown_kind("task", kind_name, self.kinds, tree, path)
        general = {key: value for key, value in given.items() if key in _COMMON} | {"kind": str(kind_name)}
        common = check(TaskModel, general, tree=tree, path=path, problems=self.problems)
        if common is None:
            common = TaskModel.model_construct(**what_holds(TaskModel, general))
        own = {key: value for key, value in given.items() if key not in _COMMON}
        spec: Any = own
        if kind is not None:
            spec = check(kind.Spec, own, tree=tree, path=path, problems=self.problems, also=_COMMON)
        if spec is None and kind is not None:
            spec = kind.Spec.model_construct(**what_holds(kind.Spec, own))
        timeout_s = self._timeout(common, tree, path)
        tables = tables_of_items(common.for_each)
        reads: tuple[TableName, ...] = self._tables(tables, given, tree, path)
        writes: tuple[TableName, ...] = ()
        is_whole = len(self.problems) == found
        if kind is not None:
            with _unless_whole(is_whole=is_whole):
                reads = (*self._tables(kind.reads(spec), given, tree, path), *reads)
            with _unless_whole(is_whole=is_whole):
                writes = self._tables(kind.writes(spec), given, tree, path)
        task = Task(
            name=name,
            kind=str(kind_name),
            spec=spec,
            place=tree.key_place(path),
            reads=reads,
            writes=writes,
            after=tuple(TaskName(before) for before in common.after),
            when=common.when,
            for_each=common.for_each,
            retries=common.retries,
            timeout_s=timeout_s,
            pool=common.pool,
            trigger=common.trigger,
            places=part.places,
            names=part.keys,
        )
        return task, is_whole

    def _tables(self, names: Iterable[str], given: Any, tree: Tree, path: Path) -> tuple[TableName, ...]:
        tables = []
        for name in names:
            try:
                tables.append(table_name(name))
            except RequestInvalid as error:
                where = next((at for at, text in texts(given, path) if text == name), path)
                self._note(tree.place(where), error.message, error.hint)
        return tuple(tables)

    def _timeout(self, common: TaskModel, tree: Tree, path: Path) -> float | None:
        if common.timeout is None:
            return None
        try:
            return parse_duration(common.timeout)
        except ValueError as error:
            words, _, hint = str(error).partition("; ")
            self._note(tree.place((*path, "timeout")), f"timeout: {words}", hint.capitalize() + ".")
            return None

    def _check_uses(self, project: Project) -> None:
        """Let every kind look at what its task names: files, connections, suites."""
        for pipeline in project.pipelines.values():
            for task in pipeline.tasks.values():
                if task.kind in self.kinds:
                    is_whole = (pipeline.name, task.name) not in self.incomplete
                    with _unless_whole(is_whole=is_whole):
                        self._extend(self.kinds[task.kind].problems(task, project))
        self.problems += _shared_tables(project)
        unsure = {name for name, _ in self.incomplete}
        with_files = [name for name, kind in self.connection_kinds.items() if hasattr(kind, "list_files")]
        for pipeline in project.pipelines.values():
            self.problems += _cycles(pipeline)
            before = predecessors(pipeline)
            is_ordered = pipeline.name not in unsure
            self.problems += problems_of_expressions(
                pipeline, project, before, with_files=with_files, is_ordered=is_ordered
            )

    def _extend(self, found: Iterable[ProjectProblem]) -> None:
        """Add problems one by one, so that those before an error stay."""
        for each in found:
            self.problems.append(each)

    def _unknown_kind(self, what: str, kind: Any, known: Mapping[str, Any], tree: Tree, path: Path) -> None:
        if kind is None:
            hint = f"Add kind: to it, one of {', '.join(sorted(known))}."
            self._note(tree.key_place(path), "'kind' is missing", hint)
        else:
            self._note(tree.place((*path, "kind")), f"there is no {what} kind {kind!r}", nearest(str(kind), known))

    def _note(self, place: Place, message: str, hint: str) -> None:
        self.problems.append(ProjectProblem("project_invalid", message, place, hint))


def _unless_whole(*, is_whole: bool) -> contextlib.AbstractContextManager[None]:
    """Let a kind look at a task as far as it comes: what is missing was wrong, and is told already."""
    return contextlib.nullcontext() if is_whole else contextlib.suppress(AttributeError)


def _what_there_is(model: type[Any], value: Any) -> Any:
    """Return the parts of a file that has problems, so that those inside the parts are said at once as well."""
    if not isinstance(value, Mapping):
        return None
    held = {"name": "", **what_holds(model, value)}
    for name in {"connections", "tasks", "pools", "params", "alerts"} & model.model_fields.keys() - held.keys():
        part = value.get(name)
        held[name] = part if isinstance(part, Mapping) else {}
    for name in {"connections", "tasks"} & held.keys():
        held[name] = {key: each for key, each in held[name].items() if isinstance(each, Mapping)}
    return model.model_construct(**held)


def _shared_tables(project: Project) -> Iterator[ProjectProblem]:
    """Yield tables that two tasks write: one (project, task) writes a table, or nobody can say what is in it."""
    writers: dict[TableName, Task] = {}
    for pipeline in project.pipelines.values():
        for task in pipeline.tasks.values():
            for table in task.writes:
                first = writers.setdefault(table, task)
                if first is not task:
                    words = f"{task.name!r} writes {table}, and so does {first.name!r} ({first.place})"
                    hint = "Let each write a table of its own, and a third join them."
                    yield ProjectProblem("table_shared", words, task.place, hint)


def _cycles(pipeline: Pipeline) -> Iterator[ProjectProblem]:
    """Yield the tasks that wait for each other in a circle."""
    before = predecessors(pipeline)
    done = set(in_order(before))
    left = {name: names - done for name, names in before.items() if name not in done}
    if left:
        circle = " -> ".join(_circle(left))
        first = min((pipeline.tasks[name] for name in left), key=lambda task: task.place)
        yield ProjectProblem(
            "tasks_in_circle", f"tasks wait for each other: {circle}", first.place, "Take one of these links away."
        )


def _circle(before: Mapping[TaskName, Collection[TaskName]]) -> list[str]:
    walked: list[TaskName] = [min(before)]
    while (following := min(before[walked[-1]])) not in walked:
        walked.append(following)
    start = walked.index(following)
    return [*walked[start:], following]
