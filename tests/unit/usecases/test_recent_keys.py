"""Who has shown a key is known for a second, and not a moment longer than somebody says."""

import pytest

from penstock.core.access import PERMISSIONS, Actor, MemberId, WorkspaceId
from penstock.usecases.recent_keys import RecentKeys

ADA = Actor(WorkspaceId("ws_1"), MemberId("mem_1"), "ada", "admin", PERMISSIONS["admin"])


class Seconds:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def recent(seconds):
    return RecentKeys(seconds)


def test_it_is_known_for_a_second_from_when_the_database_was_asked(recent, seconds):
    recent.keep("pk_1_x", ADA, changes=recent.changes, asked_s=seconds.now_s - 0.5)
    assert recent.get("pk_1_x") == ADA
    assert recent.get("pk_1_y") is None
    seconds.now_s += 0.5
    assert recent.get("pk_1_x") is None


def test_what_is_forgotten_is_asked_for_again(recent, seconds):
    recent.keep("pk_1_x", ADA, changes=recent.changes, asked_s=seconds.now_s)
    recent.forget()
    assert recent.get("pk_1_x") is None


def test_an_answer_from_before_a_change_is_not_kept(recent, seconds):
    changes = recent.changes
    recent.forget()  # while the database was asked
    recent.keep("pk_1_x", ADA, changes=changes, asked_s=seconds.now_s)
    assert recent.get("pk_1_x") is None


def test_no_key_is_kept_as_it_is(recent, seconds):
    recent.keep("pk_1_Zx9Qw", ADA, changes=recent.changes, asked_s=seconds.now_s)
    assert "Zx9Qw" not in repr(vars(recent))
