"""Who may do what, and how the others are told."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from penstock.core.access import PERMISSIONS, Actor, KeyId, MemberId, WorkspaceId, local_actor
from penstock.core.errors import NotAllowed
from penstock.usecases.permissions import require

VIEWER = Actor(WorkspaceId("ws_1"), MemberId("mem_1"), "ann", "viewer", PERMISSIONS["viewer"], KeyId("key_1"))


def test_what_the_role_has_is_allowed():
    require(VIEWER, "jobs:read")


def test_what_the_role_has_not_is_refused_with_who_may():
    with pytest.raises(NotAllowed, match=r"'jobs:write'.*ann's role 'viewer' does not have it") as caught:
        require(VIEWER, "jobs:write")
    assert "editor or operator or admin" in caught.value.hint


def test_what_only_the_key_lacks_is_told_as_that():
    actor = replace(VIEWER, permissions=frozenset(["data:read"]))
    with pytest.raises(NotAllowed, match=r"scopes of the key key_1 leave only: data:read") as caught:
        require(actor, "jobs:read")
    assert "--scope jobs:read" in caught.value.hint


def test_each_role_may_do_what_the_one_before_may():
    roles = list(PERMISSIONS.values())
    assert all(less < more for less, more in itertools.pairwise(roles))


def test_a_command_on_the_servers_machine_may_do_everything():
    assert local_actor(WorkspaceId("ws_1")).local
    assert local_actor(WorkspaceId("ws_1")).permissions == PERMISSIONS["admin"]
    assert not VIEWER.local
