"""What a task says that is worked out in a run only, checked before one."""

import random
from typing import Any

import pytest
from pydantic import BaseModel, Field

from penstock.core.errors import ProjectInvalid
from penstock.project.loading import load_project

HEAD = "params: {region: br}\ntasks:\n  first: {kind: copy, to: raw.a}\n"


class Copy:
    """A kind of the test's own."""

    class Spec(BaseModel):
        """Tables and a text."""

        from_: str | None = Field(None, alias="from")
        to: str
        text: str = ""

    def reads(self, spec):
        return [spec.from_] if spec.from_ else []

    def writes(self, spec):
        return [spec.to]

    def problems(self, _task, _project):
        return []


class Disk:
    """A connection of the test's own."""

    class Spec(BaseModel):
        """It needs nothing."""

    def list_files(self, *_):
        """Files can be listed."""


def load(task, *, name="second"):
    files = {
        "penstock.yml": b"name: shop\nconnections: {disk: {kind: disk}}\n",
        "pipelines/main.yml": f"{HEAD}  {name}: {{kind: copy, to: raw.b, {task}}}\n".encode(),
    }
    kinds: Any = {"copy": Copy()}
    connection_kinds: Any = {"disk": Disk()}
    return load_project(files, kinds=kinds, connection_kinds=connection_kinds)


@pytest.mark.parametrize(
    "task",
    [
        "from: raw.a, when: \"tasks.first == 'failed'\", trigger: all_done",
        "when: \"params.region == 'br' and date > '2026'\"",
        'for_each: {values: [a, b]}, text: "${item}-${date - 1}"',
        'for_each: {values: [{a: 1, b: x}, {a: 2, b: y}]}, text: "${item.a}"',
        'for_each: {files: "in/${date}/*.csv", connection: disk}, text: "${item}"',
        'for_each: {rows: raw.a, where: "region = \'${params.region}\'"}, text: "${item.anything}"',
        "for_each: {partitions: raw.a}",
    ],
)
def test_expressions_that_mean_something_are_taken(task):
    load(task)


def test_the_table_whose_rows_a_task_is_done_for_is_one_that_it_reads():
    assert load("for_each: {rows: raw.a}").pipelines["main"].tasks["second"].reads == ("raw.a",)


@pytest.mark.parametrize(
    ("task", "words", "hint"),
    [
        ("when: \"params.regoin == 'br'\"", "when: params.regoin: the pipeline has no such", "Did you mean 'region'?"),
        ("when: \"tasks.first == 'failed'\"", "when: tasks.first: no such task ends before", "Add first to after:."),
        ("when: yes", "when: there is no 'yes'", "There are: "),
        ('text: "${params.regio}"', "text: '${params.regio}' stands for nothing here", "Did you mean 'params.region'?"),
        ('text: "${item}"', "text: '${item}' stands for nothing here", "There are: date, params.region, run."),
        ('for_each: {values: [{a: 1}]}, text: "${item.b}"', "text: '${item.b}' stands for nothing", "'item.a'"),
        ('for_each: {rows: raw.a, where: "${item}"}', "where: '${item}' stands for nothing here", "There are:"),
        ("for_each: {}", "for_each: it says nothing of what", "Write one of: {files: PATTERN"),
        ("for_each: {values: [1], rows: raw.a}", "for_each: it says both rows and values", "Write one of"),
        ("for_each: {files: x}", "for_each: 'connection' is missing", "Add connection: to it."),
        ("for_each: {files: x, connection: dsk}", "for_each: there is no connection 'dsk'", "Did you mean 'disk'?"),
        ("for_each: {rows: raw.a, were: x}", "for_each: 'were' is not known here", "Did you mean 'where'?"),
        ("for_each: {rows: 3}", "for_each: rows: '3' is not text", "Write text."),
        ("for_each: {partitions: orders}", "'orders' is not the name of a table", "A table is layer.name"),
        ("for_each: {values: []}", "for_each: values is a list of what", "Write values: [a, b]."),
        ("for_each: {values: [[1]]}", "for_each: value 1 is neither text nor number", "Correct the value."),
        ("for_each: {values: [a, {b: 1}]}", "for_each: value 2 has other names than the first: b", "Make them alike."),
        ("for_each: {values: [a, b, a]}", "for_each: a value stands there twice", "Take one"),
    ],
)
def test_what_means_nothing_is_told_with_its_place(task, words, hint):
    with pytest.raises(ProjectInvalid) as caught:
        load(task)
    (problem, *_) = [one for one in caught.value.problems if words in one.message] or caught.value.problems
    assert words in problem.message
    assert hint in problem.hint
    assert (problem.place.file, problem.place.line) == ("pipelines/main.yml", 4)


@pytest.mark.parametrize("seed", range(20))
def test_a_condition_may_ask_for_every_task_that_ends_before_and_for_no_other(seed):
    chance = random.Random(seed)
    names = [f"t{number}" for number in range(12)]
    after = {name: chance.sample(names[:place], min(place, chance.randrange(3))) for place, name in enumerate(names)}
    earlier = {name: set(after[name]) for name in names}
    for _ in names:
        earlier = {name: found.union(*(earlier[each] for each in found)) for name, found in earlier.items()}
    asked = {name: chance.choice(names) for name in names}
    chance.shuffle(names)
    tasks = "".join(
        f"  {name}: {{ kind: copy, to: raw.{name}, after: [{', '.join(after[name])}],"
        f" when: \"tasks.{asked[name]} == 'failed'\" }}\n"
        for name in names
    )
    files = {"penstock.yml": b"name: shop\n", "pipelines/main.yml": f"tasks:\n{tasks}".encode()}
    kinds: Any = {"copy": Copy()}
    refused = set()
    try:
        load_project(files, kinds=kinds, connection_kinds={})
    except ProjectInvalid as error:
        refused = {problem.place.line - 2 for problem in error.problems}
    assert {names[place] for place in refused} == {name for name in names if asked[name] not in earlier[name]}
