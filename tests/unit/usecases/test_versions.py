"""Drafts, what is active, and what becomes of a version."""

from __future__ import annotations

import contextlib
import json

import pytest

from penstock.core import limits
from penstock.core.errors import (
    BlobsUnavailable,
    Conflict,
    NotAllowed,
    RequestInvalid,
    TooMany,
    VersionRevoked,
)
from penstock.core.jobs import Lane
from penstock.usecases.versions import Content
from tests.scripting import DOUBLE, KEEP


def test_versions_without_a_number_count_up(scripting, ada):
    numbers = [scripting.draft(ada).number, scripting.draft(ada, number="1.4.0").number, scripting.draft(ada).number]
    assert numbers == ["1.0.0", "1.4.0", "1.4.1"]


def test_a_draft_changes_and_keeps_its_number_its_id_and_who_made_it(scripting, ada):
    made = scripting.draft(ada)
    ben = scripting.actor("ben", role="editor")
    scripting.clock.advance(60)
    changed = scripting.scripts.change_draft("clean", "1.0.0", Content(DOUBLE, tier="warm"), actor=ben)
    assert (changed.id, changed.number, changed.created_by, changed.created_at) == (
        made.id,
        made.number,
        made.created_by,
        made.created_at,
    )
    assert (changed.tier, changed.updated_by, changed.updated_at) == ("warm", ben.member, made.updated_at + 60)
    assert changed.hash != made.hash
    assert scripting.scripts.code("clean", "1.0.0", actor=ada) == DOUBLE


def test_a_published_version_never_changes(scripting, ada):
    (made,) = scripting.published(ada, "1.0.0")
    with pytest.raises(Conflict, match="never changes"):
        scripting.scripts.change_draft("clean", "1.0.0", Content(DOUBLE), actor=ada)
    with pytest.raises(Conflict, match="published already"):
        scripting.scripts.publish("clean", "1.0.0", actor=ada)
    assert scripting.scripts.read_version("clean", "1.0.0", actor=ada) == made


def test_javascript_gets_its_own_profile(scripting, ada):
    scripting.scripts.create("js", language="javascript", actor=ada)
    made = scripting.scripts.add_version("js", Content(b"function process(r) { return r }"), actor=ada)
    assert (made.language, made.profile) == ("javascript", "js")
    with pytest.raises(RequestInvalid, match="profile"):
        scripting.scripts.add_version("js", Content(KEEP, profile="arrow"), actor=ada)


def test_content_that_is_not_valid_leaves_nothing_behind(scripting, ada):
    scripting.scripts.create("clean", actor=ada)
    with pytest.raises(RequestInvalid):
        scripting.scripts.add_version("clean", Content(b""), actor=ada)
    with pytest.raises(RequestInvalid):
        scripting.scripts.add_version("clean", Content(KEEP), number="1", actor=ada)
    assert scripting.blobs.kept == {}
    assert scripting.scripts.versions("clean", actor=ada)[1] == []


def test_code_that_was_damaged_is_not_run(scripting, ada):
    made = scripting.draft(ada)
    scripting.blobs.put(made.code.key, b"def process(data): return 'other'")
    with pytest.raises(BlobsUnavailable, match="damaged"):
        scripting.scripts.publish("clean", "1.0.0", actor=ada)


def test_a_workspace_has_a_bounded_number_of_scripts(scripting, ada, monkeypatch):
    monkeypatch.setattr(limits, "SCRIPTS", limits.Limit("scripts", 1, "scripts", "a bound for the test"))
    scripting.scripts.create("one", actor=ada)
    with pytest.raises(TooMany, match="1 scripts"):
        scripting.scripts.create("two", actor=ada)


def test_a_script_has_a_bounded_number_of_versions(scripting, ada, monkeypatch):
    monkeypatch.setattr(limits, "VERSIONS", limits.Limit("versions", 1, "versions", "a bound for the test"))
    scripting.draft(ada)
    with pytest.raises(TooMany, match="1 versions"):
        scripting.draft(ada)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("viewer", ["read"]), ("editor", ["read", "write"]), ("operator", ["read", "write", "publish"])],
)
def test_roles_may_what_their_permissions_say(scripting, ada, role, allowed):
    scripting.draft(ada)
    other = scripting.actor("ben", role=role)
    scripts = scripting.scripts
    asked = {
        "read": [
            lambda: scripts.read("clean", actor=other),
            lambda: scripts.code("clean", "1.0.0", actor=other),
            lambda: scripting.approvals.list(actor=other),
        ],
        "write": [
            lambda: scripts.create("other", actor=other),
            lambda: scripts.add_version("clean", Content(KEEP), actor=other),
            lambda: scripts.change_draft("clean", "1.0.0", Content(KEEP + b"#"), actor=other),
        ],
        "publish": [
            lambda: scripts.publish("clean", "1.0.0", actor=other),
            lambda: scripts.activate("clean", "1.0.0", actor=other),
            lambda: scripts.deprecate("clean", "1.0.0", actor=other),
            lambda: scripts.revoke("clean", "1.0.0", actor=other),
            lambda: scripts.resume("clean", actor=other),
        ],
    }
    for kind, calls in asked.items():
        for call in calls:
            with contextlib.nullcontext() if kind in allowed else pytest.raises(NotAllowed):
                call()


def test_rolling_back_twice_goes_further_back(scripting, ada):
    scripting.published(ada, "1.0.0", "1.1.0", "1.2.0")
    for number in ("1.0.0", "1.1.0", "1.2.0"):
        scripting.scripts.activate("clean", number, actor=ada)
    assert [scripting.scripts.rollback("clean", actor=ada).active_number for _ in range(2)] == ["1.1.0", "1.0.0"]
    with pytest.raises(Conflict, match=r"before 1\.0\.0"):
        scripting.scripts.rollback("clean", actor=ada)
    assert scripting.resolve().number == "1.0.0"


def test_a_draft_cannot_be_active(scripting, ada):
    scripting.draft(ada)
    with pytest.raises(Conflict, match="is a draft"):
        scripting.scripts.activate("clean", "1.0.0", actor=ada)


def test_revoking_the_active_version_leaves_none_until_somebody_rolls_back(scripting, ada):
    scripting.published(ada, "1.0.0", "1.1.0")
    for number in ("1.0.0", "1.1.0"):
        scripting.scripts.activate("clean", number, actor=ada)
    revoked = scripting.scripts.revoke("clean", "1.1.0", reason="it leaks", actor=ada)
    assert (revoked.state, revoked.state_reason) == ("revoked", "it leaks")
    assert scripting.scripts.read("clean", actor=ada).active is None
    with pytest.raises(VersionRevoked, match="it leaks"):
        scripting.scripts.activate("clean", "1.1.0", actor=ada)
    assert scripting.scripts.rollback("clean", actor=ada).active_number == "1.0.0"


def test_a_paused_script_is_resumed(scripting, ada):
    scripting.published(ada, "1.0.0")
    script = scripting.scripts.read("clean", actor=ada)
    assert not scripting.scripts.resume("clean", actor=ada)

    def kill(tx):
        return scripting.queue.count_kill(tx, ada.workspace, Lane(script.id), killed=True)

    assert scripting.scripts.standing("clean", actor=ada).pause is None
    assert any(scripting.database.write(kill) for _ in range(100))
    paused = scripting.scripts.standing("clean", actor=ada).pause
    assert paused is not None
    assert paused.at == scripting.clock()
    assert "killed" in paused.reason
    assert scripting.scripts.resume("clean", actor=ada)
    assert not scripting.scripts.resume("clean", actor=ada)


def test_a_script_has_a_bound_of_its_own_until_it_is_taken_away(scripting, ada):
    scripting.published(ada, "1.0.0")
    bound = scripting.scripts.bound
    assert scripting.scripts.standing("clean", actor=ada).running_max is None
    assert bound("clean", running_max=2, actor=ada).running_max == 2
    assert scripting.scripts.standing("clean", actor=ada).running_max == 2
    bound("clean", running_max=None, actor=ada)
    assert scripting.scripts.standing("clean", actor=ada).running_max is None
    changes = [json.loads(details) for action, details in scripting.audited() if action == "script.change"]
    assert changes == [
        {"running_max_before": None, "running_max": 2},
        {"running_max_before": 2, "running_max": None},
    ]


def test_everything_that_changes_is_audited_in_its_transaction(scripting, ada):
    scripting.draft(ada, tier="warm")
    asked = scripting.approvals.ask("clean", "1.0.0", reason="fast", actor=ada)
    scripting.approvals.override(asked.id, actor=ada)
    scripting.scripts.change_draft("clean", "1.0.0", Content(KEEP), actor=ada)
    scripting.scripts.publish("clean", "1.0.0", actor=ada)
    scripting.scripts.activate("clean", "1.0.0", actor=ada)
    scripting.published(ada, "1.1.0")
    scripting.scripts.activate("clean", "1.1.0", actor=ada)
    scripting.scripts.rollback("clean", actor=ada)
    scripting.scripts.deprecate("clean", "1.1.0", actor=ada)
    scripting.scripts.revoke("clean", "1.1.0", reason="why not", actor=ada)
    scripting.scripts.resume("clean", actor=ada)
    actions = [action for action, _ in scripting.audited()]
    assert actions == [
        "script.create",
        "version.create",
        "approval.ask",
        "approval.override",
        "version.change",
        "version.publish",
        "version.activate",
        "version.create",
        "version.publish",
        "version.activate",
        "version.rollback",
        "version.deprecate",
        "version.revoke",
        "script.resume",
    ]


def test_what_is_refused_leaves_no_event(scripting, ada):
    scripting.draft(ada)
    before = scripting.audited()
    with pytest.raises(Conflict):
        scripting.scripts.activate("clean", "1.0.0", actor=ada)
    assert scripting.audited() == before
