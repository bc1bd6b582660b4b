"""Beyond the default, a second person agrees before a version is published."""

from __future__ import annotations

import pytest

from penstock.core.errors import (
    ApprovalNeeded,
    Conflict,
    NotAllowed,
    RequestInvalid,
)
from penstock.usecases.versions import Content
from tests.scripting import DOUBLE, LONG


def test_beyond_the_default_nothing_is_published_before_a_second_person_agrees(scripting, ada):
    ben = scripting.actor("ben", role="operator")
    scripting.draft(ada, limits=LONG)
    with pytest.raises(ApprovalNeeded, match="wall time of 120 s instead of 60 s"):
        scripting.scripts.publish("clean", "1.0.0", actor=ada)
    asked = scripting.approvals.ask("clean", "1.0.0", reason="year's end", actor=ada)
    assert asked == scripting.approvals.ask("clean", "1.0.0", reason="again", actor=ada), "one that waits is enough"
    with pytest.raises(NotAllowed, match="whoever asked"):
        scripting.approvals.approve(asked.id, actor=ada)
    scripting.clock.advance(60)
    scripting.approvals.approve(asked.id, reason="fine", actor=ben)
    assert scripting.scripts.publish("clean", "1.0.0", actor=ada).state == "published"
    kept = scripting.decided(asked)
    assert (kept.requested_by, kept.reason, kept.decided_by, kept.decision_reason, kept.decided_at) == (
        ada.member,
        "year's end",
        ben.member,
        "fine",
        scripting.clock(),
    )


def test_who_wrote_the_version_does_not_approve_it_for_somebody_else(scripting, ada):
    ben = scripting.actor("ben", role="operator")
    scripting.draft(ada, limits=LONG)
    asked = scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ben)
    with pytest.raises(NotAllowed, match="wrote this version"):
        scripting.approvals.approve(asked.id, actor=ada)


def test_an_approval_ends_when_the_draft_changes(scripting, ada):
    ben = scripting.actor("ben", role="operator")
    scripting.draft(ada, limits=LONG)
    asked = scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ada)
    scripting.approvals.approve(asked.id, actor=ben)
    scripting.scripts.change_draft("clean", "1.0.0", Content(DOUBLE, limits=LONG), actor=ada)
    with pytest.raises(ApprovalNeeded):
        scripting.scripts.publish("clean", "1.0.0", actor=ada)


def test_a_refusal_is_told_and_can_be_asked_again(scripting, ada):
    ben = scripting.actor("ben", role="operator")
    scripting.draft(ada, limits=LONG)
    asked = scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ada)
    scripting.approvals.refuse(asked.id, reason="stream it", actor=ben)
    with pytest.raises(ApprovalNeeded) as refused:
        scripting.scripts.publish("clean", "1.0.0", actor=ada)
    assert "stream it" in refused.value.hint
    with pytest.raises(Conflict, match="refused already"):
        scripting.approvals.approve(asked.id, actor=ben)
    again = scripting.approvals.ask("clean", "1.0.0", reason="it cannot be streamed", actor=ada)
    assert [one.id for one in scripting.approvals.list(state="waiting", actor=ada)] == [again.id]


def test_an_admin_who_is_alone_may_override_and_the_record_says_so(scripting, ada):
    scripting.draft(ada, tier="warm")
    asked = scripting.approvals.ask("clean", "1.0.0", reason="fast", actor=ada)
    scripting.approvals.override(asked.id, reason="nobody else is here", actor=ada)
    assert scripting.scripts.publish("clean", "1.0.0", actor=ada).state == "published"
    assert scripting.decided(asked).state == "overridden"
    assert "approval.override" in [action for action, _ in scripting.audited()]


def test_nobody_overrides_who_is_no_admin_or_not_alone(scripting, ada):
    scripting.draft(ada, tier="warm")
    asked = scripting.approvals.ask("clean", "1.0.0", reason="fast", actor=ada)
    with pytest.raises(NotAllowed, match="only an admin"):
        scripting.approvals.override(asked.id, actor=scripting.actor("ben", role="operator"))
    with pytest.raises(NotAllowed, match="more than one member"):
        scripting.approvals.override(asked.id, actor=ada)


def test_only_what_needs_an_approval_gets_one(scripting, ada):
    scripting.draft(ada)
    with pytest.raises(Conflict, match="nothing beyond the default"):
        scripting.approvals.ask("clean", "1.0.0", reason="why", actor=ada)
    with pytest.raises(RequestInvalid, match="no reason"):
        scripting.approvals.ask("clean", "1.0.0", reason=" ", actor=ada)
