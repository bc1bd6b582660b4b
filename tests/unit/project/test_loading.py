"""A project's files become a Project, or everything that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from penstock.core.errors import ProjectInvalid
from penstock.core.plan import TaskName
from penstock.core.projects import PipelineName, Project, ProjectProblem, Task
from penstock.project.loading import load_project, revision
from penstock.project.order import predecessors


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CopySpec(_Spec):
    """A kind of task that reads one table and writes another."""

    source: str = Field(alias="from")
    to: str
    mode: Literal["append", "replace"] = "append"
    limit: int | None = Field(None, ge=1)


class Copy:
    """A PipelineKind for tests."""

    Spec = CopySpec

    def reads(self, spec: CopySpec) -> Iterable[str]:
        return [spec.source]

    def writes(self, spec: CopySpec) -> Iterable[str]:
        return [spec.to]

    def problems(self, task: Task, project: Project) -> Iterable[ProjectProblem]:
        return []


class WebSpec(_Spec):
    """A kind of connection."""

    url: str


class Web:
    """A ConnectionKind for tests."""

    Spec = WebSpec


MANIFEST = b"name: shop\nconnections:\n  api: {kind: web, url: 'https://example.com'}\npools: {few: 2}\n"
MANIFEST += b"alerts: {data-team: 'jsons://example.com/alerts'}\n"
SALES = b"""\
description: Orders, copied.
schedule: {cron: "0 2 * * *", timezone: America/Sao_Paulo}
deadline: "04:00"
alerts: [data-team]
params: {day: null, limit: 10}
tasks:
  land: {kind: copy, from: outside.orders, to: raw.orders, pool: few, timeout: 10m, retries: 3}
  clean:
    kind: copy
    from: raw.orders
    to: staging.orders
    mode: replace
  tell: {kind: copy, from: staging.other, to: marts.told, after: [clean], trigger: all_done}
"""


def load(manifest: bytes = MANIFEST, **pipelines: bytes) -> Project:
    files = {f"pipelines/{name}.yml": content for name, content in pipelines.items()}
    return load_project({"penstock.yml": manifest, **files}, kinds={"copy": Copy()}, connection_kinds={"web": Web()})


def problems(manifest: bytes = MANIFEST, **pipelines: bytes) -> list[tuple[str, str, str]]:
    with pytest.raises(ProjectInvalid) as refused:
        load(manifest, **pipelines)
    return [(str(problem.place), problem.message, problem.hint) for problem in refused.value.problems]


def test_a_project_is_read_with_everything_in_it():
    project = load(sales=SALES)
    sales = project.pipelines[PipelineName("sales")]
    assert project.connections["api"].spec.url == "https://example.com"
    assert sales.schedule is not None
    assert (sales.schedule.timezone, sales.deadline, sales.alerts) == ("America/Sao_Paulo", "04:00", ("data-team",))
    land = sales.tasks[TaskName("land")]
    assert (land.pool, land.timeout_s, land.retries, str(land.place)) == ("few", 600, 3, "pipelines/sales.yml:7:3")
    assert (land.reads, land.writes) == (("outside.orders",), ("raw.orders",))


def test_the_graph_comes_from_tables_and_from_after():
    assert predecessors(load(sales=SALES).pipelines[PipelineName("sales")]) == {
        "land": frozenset(),
        "clean": frozenset(["land"]),
        "tell": frozenset(["clean"]),
    }


def test_the_revision_is_that_of_names_and_bytes():
    assert revision({"a": b"bc", "d": b""}) == revision({"d": b"", "a": b"bc"})
    assert len({revision({"a": b"bc"}), revision({"ab": b"c"}), revision({"a": b"bd"}), revision({})}) == 4


TASK = b"tasks:\n  one: {kind: copy, from: a.b, to: c.d"


@pytest.mark.parametrize(
    ("content", "place", "message", "hint"),
    [
        (b"tasks:\n  one: {kind: copi, from: a.b, to: c.d}", "2:15", "there is no task kind 'copi'", "mean 'copy'"),
        (b"tasks:\n  one: {from: a.b, to: c.d}", "2:3", "'kind' is missing", "Add kind:"),
        (b"tasks:\n  one: {kind: copy, from: a.b}", "2:3", "'to' is missing", "Add to:"),
        (b"tasks:\n  one: {kind: copy, form: a.b, from: x.y, to: c.d}", "2:21", "'form' is not known", "mean 'from'"),
        (TASK + b", mode: upsert}", "2:47", "mode: 'upsert' is not valid", "'append' or 'replace'"),
        (TASK + b", limit: many}", "2:48", "limit: 'many' is not a whole number", "whole number"),
        (TASK + b", limit: 0}", "2:48", "limit: 0 is less than 1", "Valid is 1 and more."),
        (TASK + b", retries: 99}", "2:50", "retries: 99 is more than 20", "20 and less"),
        (TASK + b", timeout: soon}", "2:50", "timeout: 'soon' is no span of time", "Valid are 90, 90s"),
        (TASK + b", after: [two]}", "2:49", "there is no task 'two'", "There are: one."),
        (TASK + b", after: two}", "2:48", "after: 'two' is not a list", "a list"),
        (TASK + b", pool: many}", "2:47", "there is no pool 'many'", "There are: few."),
        (TASK + b", trigger: never}", "2:50", "trigger: 'never' is not valid", "'all_done'"),
        (b"tasks: {}", "1:8", "tasks: nothing is in it", "Write one at least."),
        (b"description: x", "1:1", "'tasks' is missing", "Add tasks:"),
        (b"tasks: [a]", "1:8", "tasks: a list is not a mapping", "name: value"),
        (b"task: {}\n" + TASK + b"}", "1:1", "'task' is not known here", "mean 'tasks'"),
        (b'schedule: {cron: "0 2 * * *"}\ndeadline: "25:00"\n' + TASK + b"}", "2:11", "'25:00' is no time of day", ""),
        (b"schedule: {cron: '0 2 * *'}\n" + TASK + b"}", "1:18", "'0 2 * *' has 4 fields", "Cron has 5: minute, hour"),
        (b"schedule: {cron: '* * * * *', timezone: Mars}\n" + TASK + b"}", "1:41", "'Mars' is no time zone", ""),
        (b"schedule: {}\n" + TASK + b"}", "1:1", "'cron' is missing", "Add cron:"),
        (b"params: {Big: 1}\n" + TASK + b"}", "1:10", "Big", ""),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_said_with_its_place_and_what_to_do(content, place, message, hint):
    ((found, words, advice),) = problems(sales=content)
    assert found == f"pipelines/sales.yml:{place}"
    assert message in words
    assert hint in advice


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_files_and_lines():
    found = problems(b"nam: shop\n", a=b"tasks: {one: {kind: x}, two: {kind: copy}}", b=b"a: [")
    assert [place for place, _, _ in found] == [
        "penstock.yml:1:1",
        "penstock.yml:1:1",
        "pipelines/a.yml:1:21",
        "pipelines/a.yml:1:25",
        "pipelines/a.yml:1:25",
        "pipelines/b.yml:2:1",
    ]


def test_a_folder_without_a_manifest_is_no_project():
    with pytest.raises(ProjectInvalid, match=r"there is no penstock.yml"):
        load_project({}, kinds={}, connection_kinds={})


@pytest.mark.parametrize(
    ("manifest", "place", "message"),
    [
        (b"name: Shop", "1:7", "'Shop'"),
        (b"name: shop\nconnections: {api: {kind: web}}", "2:15", "'url' is missing"),
        (b"name: shop\nconnections: {api: {kind: wep, url: x}}", "2:27", "there is no connection kind 'wep'"),
        (b"name: shop\nconnections: {api: {url: x}}", "2:15", "'kind' is missing"),
        (b"name: shop\npools: {few: none}", "2:14", "few: 'none' is not a whole number"),
    ],
)
def test_a_manifest_is_held_to_what_it_may_say(manifest, place, message):
    ((found, words, _),) = problems(manifest, sales=TASK + b"}")
    assert found == f"penstock.yml:{place}"
    assert message in words


def test_two_tasks_that_write_one_table_are_refused_across_pipelines():
    ((place, words, _),) = problems(a=TASK + b"}", b=TASK + b"}")
    assert place == "pipelines/b.yml:2:3"
    assert "c.d" in words
    assert "pipelines/a.yml:2:3" in words


def test_tasks_that_wait_for_each_other_are_refused_with_the_circle():
    circle = b"""\
tasks:
  a: {kind: copy, from: x.c, to: x.a}
  b: {kind: copy, from: x.a, to: x.b}
  c: {kind: copy, from: x.b, to: x.c}
  d: {kind: copy, from: x.c, to: x.d}
"""
    ((place, words, _),) = problems(sales=circle)
    assert place == "pipelines/sales.yml:2:3"
    assert words == "tasks wait for each other: a -> c -> b -> a"


def test_a_project_is_bounded_before_it_is_checked():
    one = b"{kind: copy, from: a.b, to: a.c}"
    tasks = b"tasks:\n" + b"".join(b"  t%d: %s\n" % (n, one) for n in range(1_001))
    ((place, message, _),) = problems(a=tasks, b=tasks)
    assert (place, message) == (
        "pipelines/b.yml:1:1",
        "with this file the project has 2,002 tasks; it has 2,000 at most",
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"after: [" + b"x," * 101 + b"]", "has more than 100 in it"),
        (b"for_each: {values: [" + b",".join(b"%d" % n for n in range(10_001)) + b"]}", "10,001 values"),
    ],
)
def test_a_long_list_is_refused_by_its_length(said, words):
    found = problems(a=b"tasks: {t: {kind: copy, from: a.b, to: a.c, " + said + b"}}")
    (message,) = {message for _, message, _ in found}
    assert words in message


def test_a_long_cron_expression_is_not_looked_into():
    cron = b"schedule: {cron: '" + b"1," * 100 + b"1 * * * *'}\ntasks: {t: {kind: copy, from: a.b, to: a.c}}"
    ((place, _, hint),) = problems(a=cron)
    assert (place, hint) == ("pipelines/a.yml:1:18", "Cron has 200 at most.")
