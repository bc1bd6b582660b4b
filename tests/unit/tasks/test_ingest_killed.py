"""An ingest that is killed at its worst moments: what it fetches again lands once, and the next run goes on."""

import contextlib
import json
import random

import pytest

from penstock.execution.task_context import TaskContext
from tests.pipelines import ingest_context
from tests.sources import Source, serve

FROM = '{ connection: api, path: all, cursor: { field: at, param: since, start: "2024-01-01" } }'
HISTORIES = tuple(f"history_{number}" for number in range(4))
MOMENTS = ("before_rows", "after_rows", "after_publishing")
REJECTING = tuple(f"{what}_bad_after_{writes}" for writes in (1, 2, 3) for what in ("still", "not"))


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
def source():
    with serve(Source()) as source:
        yield source


@pytest.fixture(scope="module")
def bench(tmp_path_factory, sandbox, source):
    tasks = [f"  {moment}: {{ kind: ingest, from: {FROM}, to: raw.{moment} }}\n" for moment in MOMENTS]
    tasks += [
        f"  {name}: {{ kind: ingest, from: {FROM}, to: raw.{name}, schema: quarantine, columns: {{ id: long }} }}\n"
        for name in REJECTING
    ]
    tasks += [
        f"  {name}: {{ kind: ingest, from: {FROM}, to: raw.{name} }}\n"
        for name in ("each", "both", "items", *HISTORIES)
    ]
    files = {
        "penstock.yml": f"name: shop\nconnections:\n  api: {{ kind: rest, url: '{source.url}' }}\n",
        "pipelines/main.yml": "tasks:\n" + "".join(tasks),
    }
    with ingest_context(tmp_path_factory.mktemp("killed"), strict=sandbox, files=files) as bench:
        yield bench


def kill_at(moment, monkeypatch):
    """Let the process of the next attempt be gone at a moment."""
    name = "write_query" if moment != "after_publishing" else "publish"
    real = getattr(TaskContext, name)

    def killed(self, *given, **words):
        if moment != "before_rows":
            real(self, *given, **words)
        raise Killed

    monkeypatch.setattr(TaskContext, name, killed)


def numbers(bench, table):
    """Return the ids that readers see, sorted."""
    at = list(bench.columns(table)).index("id")
    return sorted(row[at] for row in bench.rows(table))


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_was_fetched_lands_once_whenever_the_process_is_killed(bench, source, monkeypatch, moment):
    source.records = [{"id": number, "at": f"2024-01-0{number}"} for number in (1, 2, 3)]
    with monkeypatch.context() as killing:
        kill_at(moment, killing)
        with pytest.raises(Killed):
            bench.run(moment, fingerprint="f")
    source.records += [{"id": 4, "at": "2024-01-03"}, {"id": 5, "at": "2024-01-04"}]  # while nobody was looking
    bench.run(moment, fingerprint="f", attempt=2)
    bench.next_run()
    bench.run(moment, fingerprint="g")
    assert numbers(bench, f"raw.{moment}") == [1, 2, 3, 4, 5]


def rejected(bench, table):
    """Return the ids that readers see of records that were set aside, sorted."""
    at = list(bench.columns(f"{table}__rejected")).index("record")
    return sorted(json.loads(row[at])["id"] for row in bench.rows(f"{table}__rejected"))


@pytest.mark.parametrize("table", REJECTING)
def test_what_was_set_aside_is_there_once_whenever_the_process_is_killed(bench, source, monkeypatch, table):
    """Killed after so many writes (3 is after publishing); the bad record may be gone when it is read again."""
    writes, still = int(table[-1]), table.startswith("still")
    source.records = [{"id": 1, "at": "2024-01-01"}, {"id": "b", "at": "2024-01-02"}]
    real = TaskContext.write_query
    done: list[str] = []

    def killed(self, write, *given, **words):
        result = real(self, write, *given, **words)
        done.append(write.table)
        if len(done) == writes:
            raise Killed
        return result

    with monkeypatch.context() as killing:
        killing.setattr(TaskContext, "write_query", killed)
        if writes > 2:
            kill_at("after_publishing", killing)
        with pytest.raises(Killed):
            bench.run(table, fingerprint="f")
    if not still:
        source.records[1]["id"] = 2  # somebody has corrected it
    source.records += [{"id": "c", "at": "2024-01-03"}, {"id": 4, "at": "2024-01-04"}]
    bench.run(table, fingerprint="f")  # an attempt of an item has the same number again
    bench.next_run()
    bench.run(table, fingerprint="g")
    read = still or writes > 2
    assert rejected(bench, f"raw.{table}") == (["b", "c"] if read else ["c"])
    assert numbers(bench, f"raw.{table}") == ([1, 4] if still else [1, 2, 4])


def test_each_thing_of_a_for_each_publishes_its_own_rows_with_its_own_cursor(bench, source, monkeypatch):
    source.records = [{"id": 1, "at": "2024-01-01"}]
    with monkeypatch.context() as killing:
        kill_at("after_rows", killing)
        with pytest.raises(Killed):
            bench.run("each", fingerprint="f", part="one")
    bench.run("each", fingerprint="f", part="two")
    assert numbers(bench, "raw.each") == [1]
    bench.run("each", fingerprint="f", part="one", attempt=2)
    assert numbers(bench, "raw.each") == [1, 1]
    bench.next_run()
    for part in ("one", "two"):
        assert bench.run("each", fingerprint="g", part=part)["rows"] == 0
    assert numbers(bench, "raw.each") == [1, 1]


def test_of_two_runs_at_the_same_time_the_later_reads_on_from_where_the_other_came_to(bench, source, monkeypatch):
    source.records = [{"id": 1, "at": "2024-01-01"}]
    real = TaskContext.write_query
    others: list[str] = []

    def overtaken(self, *given, **words):
        written = real(self, *given, **words)
        if not others:
            others.append(bench.run_id)
            source.records += [{"id": 2, "at": "2024-01-02"}]
            bench.next_run()
            bench.run("both", fingerprint="other")
        return written

    monkeypatch.setattr(TaskContext, "write_query", overtaken)
    assert bench.run("both", fingerprint="f")["rows"] == 0
    assert numbers(bench, "raw.both") == [1, 2]


def test_the_thing_of_a_for_each_that_another_run_has_overtaken_reads_on_from_there(bench, source, monkeypatch):
    source.records = [{"id": 1, "at": "2024-01-01"}]
    real = TaskContext.write_query
    others: list[str] = []

    def overtaken(self, *given, **words):
        written = real(self, *given, **words)
        if not others:
            others.append(first := bench.run_id)
            bench.run("items", fingerprint="f", part="two")  # of the same run: it publishes meanwhile
            source.records += [{"id": 2, "at": "2024-01-02"}]
            bench.next_run()
            bench.run("items", fingerprint="other", part="one")
            bench.run_id = first
        return written

    monkeypatch.setattr(TaskContext, "write_query", overtaken)
    assert bench.run("items", fingerprint="f", part="one")["rows"] == 0
    assert numbers(bench, "raw.items") == [1, 1, 2]


@pytest.mark.parametrize("table", HISTORIES)
def test_whatever_kills_and_overtakes_the_things_of_a_for_each_each_row_lands_once(bench, source, monkeypatch, table):
    """Attempts of two things of several runs, some killed, some overtaken by others; some runs are never resumed."""
    chance = random.Random(table)
    source.records = [{"id": 1, "at": "2024-01-01"}]
    real = {name: getattr(TaskContext, name) for name in ("write_query", "publish")}
    depth, attempts = 0, 0

    def disturbed(name):
        def work(self, *given, **words):
            nonlocal depth
            result = None
            for half in range(2):
                if half:
                    result = real[name](self, *given, **words)
                drawn = chance.random()
                if drawn < 0.15:
                    raise Killed
                if drawn < 0.4 and depth < 2:
                    depth += 1
                    attempt()
                    depth -= 1
            return result

        return work

    def attempt():
        nonlocal attempts
        attempts += 1
        mine = bench.run_id
        source.records.append({"id": len(source.records) + 1, "at": f"2024-01-{len(source.records) + 1:02}"})
        bench.next_run(f"run_{100 + chance.randrange(3)}")
        with contextlib.suppress(Killed):
            bench.run(table, fingerprint=f"f{bench.run_id}", part=chance.choice(("one", "two")), attempt=attempts)
        bench.next_run(mine)

    with monkeypatch.context() as disturbing:
        for name in real:
            disturbing.setattr(TaskContext, name, disturbed(name))
        for _ in range(4):
            attempt()
    bench.next_run("run_200")
    for part in ("one", "two"):
        bench.run(table, fingerprint="last", part=part)
    assert numbers(bench, f"raw.{table}") == sorted(2 * [record["id"] for record in source.records])
