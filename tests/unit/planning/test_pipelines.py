"""A plan says what will run, what is up to date, and why; the same questions always get the same plan."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import pytest

from penstock.core.errors import RequestInvalid
from penstock.core.plan import TaskName
from penstock.core.projects import Pipeline, PipelineName, Place, Task
from penstock.core.tables import SnapshotId, TableName
from penstock.planning.pipelines import Occasion, PipelinePlan, plan_pipeline, select
from penstock.project.order import in_order

PLACE = Place("pipelines/sales.yml", 1, 1)


def task(name: str, reads: str = "", writes: str = "", **more) -> Task:
    read, written = (tuple(TableName(table) for table in names.split()) for names in (reads, writes))
    spec = more.pop("spec", {"setting": 1})
    return Task(TaskName(name), "copy", spec, PLACE, read, written, **more)


SALES = Pipeline(
    PipelineName("sales"),
    "",
    {
        each.name: each
        for each in (
            task("land", writes="raw.orders", spec={"of": "${date}", "most": "${params.limit}"}),
            task("clean", "raw.orders", "staging.orders"),
            task("daily", "staging.orders", "marts.daily"),
            task("rank", "staging.orders", "marts.rank"),
            task("tell", after=(TaskName("daily"),)),
        )
    },
    PLACE,
    params={"limit": 10},
)


@dataclass
class State:
    """What has been done so far."""

    heads: dict[str, int] = field(default_factory=dict)
    lasts: dict[str, str | None] = field(default_factory=dict)

    def head(self, table: TableName) -> SnapshotId | None:
        found = self.heads.get(table)
        return None if found is None else SnapshotId(found)

    def mark(self, task: Task, table: TableName) -> str | None:
        found = self.heads.get(table)
        return None if found is None else str(found)

    def last_fingerprints(self, task: Task) -> list[str]:
        return [last for last in [self.lasts.get(task.name)] if last is not None]


def plan(state: State, pipeline: Pipeline = SALES, *, code=None, selected=None, **occasion) -> PipelinePlan:
    return plan_pipeline(
        pipeline,
        revision="abc",
        code=code or {},
        occasion=Occasion(**occasion),
        state=state,
        selected=select(pipeline, selected or []),
    )


def actions(found: PipelinePlan) -> dict[str, str]:
    return {decision.task: decision.action for decision in found.decisions}


def done(*, date="2026-01-31") -> State:
    """Return the state in which everything is up to date: from the inputs on, each task with its fingerprint."""
    state = State({"raw.orders": 1, "staging.orders": 2, "marts.daily": 3, "marts.rank": 4})
    for _ in SALES.tasks:  # what comes later is known once what comes before is up to date
        for decision in plan(state, date=date).decisions:
            state.lasts[decision.task] = decision.fingerprint or state.lasts.get(decision.task)
    return state


def test_everything_runs_the_first_time_in_the_order_of_the_graph():
    found = plan(State(), date="2026-01-31")
    assert [decision.task for decision in found.decisions] == ["land", "clean", "daily", "rank", "tell"]
    assert set(actions(found).values()) == {"run"}
    assert found.decisions[1].after == ("land",)
    assert found.decisions[4].after == ("daily",)


def test_nothing_runs_when_code_settings_and_inputs_are_the_same():
    found = plan(done(), date="2026-01-31")
    assert set(actions(found).values()) == {"skip"}
    assert "up to date" in found.decisions[0].reason


def test_another_date_or_parameter_runs_the_tasks_that_use_it():
    state = done()
    for other in ({"date": "2026-02-01"}, {"date": "2026-01-31", "params": {"limit": 5}}):
        assert actions(plan(state, **other)) == {  # those that say so, and those whose inputs may change with them
            "land": "run",
            "clean": "decide",
            "daily": "decide",
            "rank": "decide",
            "tell": "skip",
        }


def test_changed_code_runs_its_task_and_what_follows_is_decided_by_what_comes_out():
    found = plan(done(), date="2026-01-31", code={TaskName("clean"): "new"})
    assert actions(found) == {"land": "skip", "clean": "run", "daily": "decide", "rank": "decide", "tell": "skip"}
    assert "clean" in found.decisions[2].reason
    assert found.decisions[2].fingerprint is None


def test_a_new_snapshot_of_an_input_runs_those_who_read_it():
    state = done()
    state.heads["staging.orders"] = 99
    assert actions(plan(state, date="2026-01-31")) == {
        "land": "skip",
        "clean": "skip",
        "daily": "run",
        "rank": "run",
        "tell": "skip",
    }


def test_a_changed_setting_runs_its_task():
    tasks = dict(SALES.tasks)
    tasks[TaskName("rank")] = dataclasses.replace(tasks[TaskName("rank")], spec={"setting": 2})
    changed = dataclasses.replace(SALES, tasks=tasks)
    assert [name for name, action in actions(plan(done(), changed, date="2026-01-31")).items() if action != "skip"] == [
        "rank"
    ]


def test_again_runs_what_is_up_to_date_too():
    assert set(actions(plan(done(), date="2026-01-31", again=True)).values()) == {"run"}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["clean"], "clean"),
        (["clean+"], "clean daily rank tell"),
        (["+daily"], "land clean daily"),
        (["+clean+"], "land clean daily rank tell"),
        (["rank", "tell"], "rank tell"),
    ],
)
def test_a_selection_takes_tasks_with_what_follows_or_comes_before(words, names):
    assert [decision.task for decision in plan(State(), selected=words).decisions] == sorted(
        names.split(), key=["land", "clean", "daily", "rank", "tell"].index
    )


def test_what_is_not_there_is_refused_with_the_nearest_name():
    with pytest.raises(RequestInvalid, match="no task 'claen'") as refused:
        plan(State(), selected=["claen+"])
    assert "Did you mean 'clean'?" in refused.value.hint
    with pytest.raises(RequestInvalid, match="no such parameter"):
        plan(State(), params={"limits": 1})


def test_the_order_does_not_depend_on_how_a_project_is_written_down():
    graph = {TaskName("b"): [TaskName("a")], TaskName("c"): [], TaskName("a"): []}
    assert in_order(graph) == in_order(dict(reversed(graph.items()))) == ["a", "c", "b"]


@pytest.mark.parametrize("given", ["1 AS n, (SELECT 2)", True, [1]])
def test_a_parameter_whose_default_is_a_number_takes_no_text(given):
    with pytest.raises(RequestInvalid, match="is not a number, and its default is 10"):
        plan(State(), params={"limit": given})


@pytest.mark.parametrize("given", [5, 2.5, None])
def test_a_parameter_whose_default_is_a_number_takes_another(given):
    assert plan(State(), params={"limit": given}).occasion.params["limit"] == given
