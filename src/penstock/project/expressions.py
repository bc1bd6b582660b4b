"""What a task says that is worked out in a run only, checked before one: `when`, `for_each` and `${...}`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock.base.nearest import nearest
from penstock.core import limits
from penstock.core.conditions import ConditionInvalid, parse_condition
from penstock.core.plan import TaskName
from penstock.core.projects import Pipeline, Place, Project, ProjectProblem, Task
from penstock.core.templates import unknown_names
from penstock.project.order import in_order
from penstock.project.secret_references import texts

# By what it gives: the names that it needs, and those that it may have besides.
FORMS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "files": (("connection",), ()),
    "partitions": ((), ()),
    "rows": ((), ("where",)),
    "values": ((), ()),
}
_SAID_MAX: Final = 20  # values that are wrong; the others are wrong in the same way
_FORMS_SHOWN: Final = (
    "Write one of: {files: PATTERN, connection: NAME}, {partitions: TABLE}, {rows: TABLE, where: CONDITION},"
    " {values: [...]}."
)


def tables_of_items(form: Mapping[str, Any] | None) -> list[str]:
    """Return the tables whose rows or partitions a task is done for."""
    return [str(form[name]) for name in ("partitions", "rows") if name in form] if form else []


def problems_of_expressions(
    pipeline: Pipeline,
    project: Project,
    before: Mapping[TaskName, Collection[TaskName]],
    *,
    with_files: Collection[str],
    is_ordered: bool = True,
) -> Iterator[ProjectProblem]:
    """Yield what is wrong with the expressions of a pipeline's tasks.

    Args:
        pipeline: whose tasks.
        project: with its connections.
        before: the tasks that each waits for.
        with_files: kinds of connections that can list files.
        is_ordered: whether all is known of what they wait for; else any of them may come before any other.
    """
    earlier = _Earlier(before)
    wrong = 0
    for task in pipeline.tasks.values():
        if task.when is not None and wrong < limits.PROJECT_PROBLEMS.value:  # more are not shown, and each takes a look
            names = earlier.than(task.name) if is_ordered else pipeline.tasks.keys()
            problems = list(_condition(task, task.when, pipeline, names))
            wrong += len(problems)
            yield from problems
        yield from _items(task, project, with_files)
        yield from _templates(task, pipeline)


def _condition(task: Task, when: str, pipeline: Pipeline, earlier: Collection[TaskName]) -> Iterator[ProjectProblem]:
    try:
        parse_condition(when, params=pipeline.params, tasks=earlier)
    except ConditionInvalid as error:
        late = error.word in pipeline.tasks and error.word not in earlier
        hint = f"Add {error.word} to after:." if late else nearest(error.word, error.valid)
        yield _problem(task.place_of("when"), f"when: {error}", hint)


class _Earlier:
    """The tasks that come before each: each set is a number with a bit for each task, made of those before it.

    As sets of names, thousands of tasks would have millions of members together.
    """

    def __init__(self, before: Mapping[TaskName, Collection[TaskName]]) -> None:
        self._bits = {name: 1 << place for place, name in enumerate(before)}
        self._found: dict[TaskName, int] = {}
        ordered = in_order(before)
        for name in ordered:
            found = 0
            for each in before[name]:
                found |= self._bits[each] | self._found[each]
            self._found[name] = found
        for name in before.keys() - self._found.keys():  # in a circle: said elsewhere, and no order is wrong
            self._found[name] = (1 << len(before)) - 1

    def than(self, name: TaskName) -> Collection[TaskName]:
        return _Names(self._bits, self._found[name])


@dataclass(frozen=True, slots=True)
class _Names(Collection[TaskName]):
    """Names that are looked up often and listed seldom."""

    bits: Mapping[TaskName, int]
    found: int

    def __contains__(self, name: object) -> bool:
        return bool(self.bits.get(name, 0) & self.found)  # type: ignore[call-overload]  # any other object is none of them

    def __iter__(self) -> Iterator[TaskName]:
        return (name for name, bit in self.bits.items() if bit & self.found)

    def __len__(self) -> int:
        return self.found.bit_count()


def _items(task: Task, project: Project, with_files: Collection[str]) -> Iterator[ProjectProblem]:
    form = task.for_each
    if form is None:
        return
    place = task.place_of("for_each")
    kinds = [name for name in FORMS if name in form]
    if len(kinds) != 1:
        words = "it says nothing of what" if not kinds else f"it says both {' and '.join(kinds)}"
        yield _problem(place, f"for_each: {words}", _FORMS_SHOWN)
        return
    needed, possible = FORMS[kinds[0]]
    for name in needed:
        if name not in form:
            yield _problem(place, f"for_each: {name!r} is missing", f"Add {name}: to it.")
    valid = (kinds[0], *needed, *possible)
    for name in form:
        if name not in valid:
            yield _problem(
                task.place_of("for_each", name), f"for_each: {name!r} is not known here", nearest(name, valid)
            )
    yield from _values(task, form) if kinds[0] == "values" else _texts(task, form, valid)
    if "connection" in valid and isinstance(named := form.get("connection"), str):
        yield from _connection(task, named, project, with_files)


def _texts(task: Task, form: Mapping[str, Any], valid: tuple[str, ...]) -> Iterator[ProjectProblem]:
    for name in valid:
        value, place = form.get(name), task.place_of("for_each", name)
        if name in form and (not isinstance(value, str) or not value):
            yield _problem(place, f"for_each: {name}: {str(value)[:80]!r} is not text", "Write text.")


def _connection(task: Task, name: str, project: Project, with_files: Collection[str]) -> Iterator[ProjectProblem]:
    place = task.place_of("for_each", "connection")
    found = project.connections.get(name)
    if found is None:
        yield _problem(place, f"for_each: there is no connection {name!r}", nearest(name, project.connections))
    elif found.kind not in with_files:
        words = f"for_each: the connection {name!r} is of the kind {found.kind}: it has no files"
        yield _problem(place, words, f"Name one of the kinds {' and '.join(sorted(with_files))}.")


def _values(task: Task, form: Mapping[str, Any]) -> Iterator[ProjectProblem]:
    values, place = form["values"], task.place_of("for_each", "values")
    if not isinstance(values, list) or not values:
        yield _problem(place, "for_each: values is a list of what the task is done for", "Write values: [a, b].")
        return
    if len(values) > limits.RUN_ITEMS.value:
        words = f"for_each: {len(values):,} values; a task is done for {limits.RUN_ITEMS.value:,} at most"
        yield _problem(place, words, "Put them into a table, and use {rows: TABLE, where: CONDITION}.")
        return
    names = [tuple(sorted(value)) if isinstance(value, dict) else () for value in values]
    wrong = 0
    for index, value in enumerate(values):
        if wrong == _SAID_MAX:
            return
        where = task.place_of("for_each", "values", index)
        parts = list(value.values()) if isinstance(value, dict) else [value]
        if not all(isinstance(part, str | int | float) for part in parts) or not parts:
            wrong += 1
            yield _problem(where, f"for_each: value {index + 1} is neither text nor number, nor a mapping of those", "")
        elif names[index] != names[0]:
            wrong += 1
            words = f"for_each: value {index + 1} has other names than the first: {', '.join(names[index]) or 'none'}"
            yield _problem(
                where, words, f"Give each the names {', '.join(names[0])}." if names[0] else "Make them alike."
            )
    if len({str(value) for value in values}) < len(values):
        yield _problem(place, "for_each: a value stands there twice", "Take one of the two away.")


def _templates(task: Task, pipeline: Pipeline) -> Iterator[ProjectProblem]:
    spec = task.spec.model_dump(mode="json", by_alias=True) if hasattr(task.spec, "model_dump") else task.spec
    parts = _parts(task.for_each)
    for path, text in texts(spec, ()):
        yield from _unknown(task, path, text, pipeline, item=task.for_each is not None, parts=parts)
    for path, text in texts(task.for_each or {}, ("for_each",)):
        yield from _unknown(task, path, text, pipeline, item=False, parts=())


def _parts(form: Mapping[str, Any] | None) -> tuple[str, ...]:
    first = form["values"][0] if form and isinstance(form.get("values"), list) and form["values"] else None
    return tuple(first) if isinstance(first, dict) else ()


def _unknown(
    task: Task, path: tuple[Any, ...], text: str, pipeline: Pipeline, *, item: bool, parts: tuple[str, ...]
) -> Iterator[ProjectProblem]:
    for found in unknown_names(text, params=pipeline.params, item=item, parts=parts):
        name = found.found.strip("${} ")
        words = f"{path[-1] if path else 'the task'}: {found.found[:80]!r} stands for nothing here"
        yield _problem(
            task.place_of(*path), words, nearest(name, found.valid) + " Write $${ for the characters themselves."
        )


def _problem(place: Place, message: str, hint: str) -> ProjectProblem:
    return ProjectProblem("project_invalid", message, place, hint or "Correct the value.")
