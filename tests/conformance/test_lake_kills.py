"""`kill -9` in every step of a night's work on the lake: what is done again from the start ends as if nothing was."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.core.limits import LAKE_LEASE
from penstock.storage.tables import journal
from tests.lake_victim import DAILY, night, opened, prepare, seen
from tests.lakes import ORDERS, WORKSPACE, main_of

ROOT = Path(__file__).parents[2]
NOW = 1_700_000_000.0


@pytest.fixture
def victim(tmp_path):
    command = [sys.executable, "-m", "tests.lake_victim", str(tmp_path / "lake")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        yield process
        process.stdin.close()
        process.wait(timeout=30)


def killed_at(victim, number):
    """Let a child be killed at one of its steps; return how it ended, and the steps it has come to."""
    victim.stdin.write(f"{number}\n")
    victim.stdin.flush()
    status, *steps = victim.stdout.readline().split()
    return int(status), steps


@pytest.mark.timeout(300)
def test_a_kill_in_any_step_loses_nothing_and_shows_nothing_half(victim, tmp_path, fresh_database_url):
    folder, evening = tmp_path / "lake", tmp_path / "evening"
    folder.mkdir()
    shutil.copy(fresh_database_url("sqlite").removeprefix("sqlite:///"), folder / "penstock.db")
    with opened(folder, now=NOW) as lake:
        prepare(lake)
        before = seen(lake)
    shutil.copytree(folder, evening)

    status, steps = killed_at(victim, 0)
    assert status == 0, steps
    with opened(folder, now=NOW) as lake:
        morning = seen(lake)
        states = [before, morning, wrong(morning)]
    assert before != morning
    assert {"commit.landed", "publish.rebased", "publish.recorded", "publish.moved", "rollback.recorded"} <= {*steps}

    for number, name in enumerate(steps, 1):
        if steps[:number].count(name) > 2:
            continue  # of the same step the third time says nothing new
        shutil.rmtree(folder)
        shutil.copytree(evening, folder)
        status, came = killed_at(victim, number)
        assert (status, came[-1]) == (-signal.SIGKILL, name)
        with opened(folder, now=NOW + LAKE_LEASE.value + 1) as lake:
            assert seen(lake) in states, f"killed at {name}, readers see a state that never was"
            night(lake)
            assert seen(lake) == morning, f"killed at {name}"
            check_main(lake, name)


def wrong(morning):
    """What readers see between the wrong run and its rollback."""
    orders, daily = morning
    return orders, [(daily[0][0], 3)]


def check_main(lake, killed):
    """What other programs see is what our readers see, and no branch is left."""
    with lake.lake._parts.database.read() as tx:
        assert journal.pending(tx) == [], killed
    heads = lake.lake.heads(WORKSPACE, [ORDERS, DAILY])
    for name, head in heads.items():
        table = lake.lake._parts.catalog.load(WORKSPACE, name)
        assert {ref: found.snapshot_id for ref, found in table.metadata.refs.items()} == {"main": head}, killed
        assert table.scan().to_arrow().num_rows == lake.lake.read(WORKSPACE, name).rows


@pytest.mark.timeout(120)
def test_workers_that_back_fill_the_same_days_at_once_all_land_whole(tmp_path, fresh_database_url):
    folder, writers, turns = tmp_path / "lake", 3, 4
    folder.mkdir()
    shutil.copy(fresh_database_url("sqlite").removeprefix("sqlite:///"), folder / "penstock.db")
    command = [sys.executable, "-m", "tests.lake_writer", str(folder)]
    started = [subprocess.Popen([*command, str(number), str(turns)], cwd=ROOT) for number in range(writers)]
    assert [process.wait(timeout=100) for process in started] == [0] * writers
    with opened(folder, now=NOW) as lake:
        history = lake.lake.history(WORKSPACE, ORDERS, count=100)
        assert len({seen.author.run for seen in history}) == len(history) == writers * turns
        model: dict[object, str] = {}  # of the order in which they were published: the later one has the day
        for seen_then in reversed(history):
            if not seen_then.expired:
                model = {day: run for run, day in lake.rows(at=seen_then.snapshot)}
                assert sum(run == seen_then.author.run for run in model.values()) == 4
        assert {day: run for run, day in lake.rows()} == model
        assert main_of(lake)[0].metadata.refs.keys() == {"main"}
