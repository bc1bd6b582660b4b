"""The processes of `penstock up`: one that dies is started again, at once if it has lived."""

from penstock.cli.up import Door


def end(door):
    """Wait until a door's process has ended, and return its number."""
    door.process.wait()
    return door.process.pid


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
