"""What a command that is asked to end at once says of the run that it followed."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.cli.following import follow_backfill, follow_run
from penstock.cli.stopped import Stopped


class Ended:
    """A place whose command gets SIGTERM while it follows."""

    def __init__(self, flag: str) -> None:
        self.flag = flag

    def follow(self, *_: Any) -> Any:
        raise Stopped

    follow_backfill = follow


@pytest.mark.parametrize("follow", [follow_run, follow_backfill])
@pytest.mark.parametrize(
    ("flag", "words"),
    [("", "go on later with: penstock resume x_1"), (" --server", "it goes on; see: penstock status x_1 --server")],
)
def test_a_command_that_is_ended_says_how_to_go_on(follow: Any, flag: str, words: str):
    with pytest.raises(Stopped, match=words):
        follow(Ended(flag), {"id": "x_1"}, as_json=True)
