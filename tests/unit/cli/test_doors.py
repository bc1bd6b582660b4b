"""The processes of `penstock up`: one that dies is started again, at once if it has lived."""

from typing import cast

from penstock.cli.up import Door


def end(door):
    """Wait until a door's process has ended, and return its number."""
    door.process.wait()
    return door.process.pid


def test_a_worker_is_told_which_dead_one_it_comes_after():
    door = Door("worker")
    asked = []
    for _ in range(2):
        door.start()
        assert door.process is not None
        asked.append(list(cast("list[str]", door.process.args))[3:])
        door.process.kill()
        end(door)
    assert asked == [["worker", "--name", asked[0][2]], ["worker", "--name", asked[1][2], "--after", asked[0][2]]]
    assert asked[0][2] != asked[1][2]


def test_a_process_that_has_lived_is_started_again_at_once_and_one_that_dies_at_once_after_a_pause(capsys):
    door = Door("--version")
    door.start()
    first = end(door)
    door.started_s -= 10
    assert door.look() is None
    assert "at once" in capsys.readouterr().err
    assert end(door) != first
    assert door.look() is None
    assert [door.process, door.pause_s] == [None, 0.5]
