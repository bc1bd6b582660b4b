"""Approvals: a version that asks for more than the default needs a second person before it is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.base.ids import new_id
from penstock.core.access import Actor, AuditEvent
from penstock.core.errors import Conflict, NotAllowed, RequestInvalid
from penstock.core.ports import Audit, Clock, Database, ScriptRecords
from penstock.core.version_rules import asks_of, check_decision, check_waiting
from penstock.core.versions import Approval, ApprovalId, ApprovalState, Version, check_draft
from penstock.usecases.permissions import require


@dataclass(frozen=True, slots=True)
class Approvals:
    """What can be asked of approvals."""

    database: Database
    records: ScriptRecords
    audit: Audit
    clock: Clock

    def list(
        self, *, state: ApprovalState | None = None, before: str | None = None, limit: int = 50, actor: Actor
    ) -> Sequence[Approval]:
        """Return approvals, the newest first, those before an id."""
        require(actor, "scripts:read")
        with self.database.read() as tx:
            return self.records.list_approvals(tx, actor.workspace, state=state, before=before, limit=limit)

    def ask(self, script: str, number: str, *, reason: str, actor: Actor) -> Approval:
        """Ask for the approval of a draft as it is now; the one that waits already is returned as it is.

        Raises:
            Conflict: when it is no draft, needs no approval, or has one.
            RequestInvalid: when there is no reason.
        """
        require(actor, "scripts:write")
        if not reason.strip():
            raise RequestInvalid("there is no reason", hint="Say why the version needs more than the default.")

        def record(tx: Any) -> Approval:
            found = self.records.find_script(tx, actor.workspace, script, lock=True)
            version = self.records.find_version(tx, found, number)
            check_draft(version)
            held = [one for one in self.records.approvals_of(tx, version) if one.version_hash == version.hash]
            if waiting := [one for one in held if one.state == "waiting"]:
                return waiting[0]
            if any(one.state in ("approved", "overridden") for one in held):
                raise Conflict(f"version {version.number} of {found.name} is approved already", hint="Publish it.")
            approval = self._new(version, reason, actor=actor)
            self.records.insert_approval(tx, approval)
            self._note(tx, "approval.ask", approval, actor=actor)
            return approval

        return self.database.write(record)

    def approve(self, approval: str, *, reason: str = "", actor: Actor) -> Approval:
        """Agree, as a second person.

        Raises:
            NotAllowed: when the actor asked for it, or wrote the version.
            Conflict: when it is decided already, or the draft has changed since.
        """
        return self._decide(approval, "approved", reason=reason, actor=actor)

    def refuse(self, approval: str, *, reason: str = "", actor: Actor) -> Approval:
        """Disagree, as a second person."""
        return self._decide(approval, "refused", reason=reason, actor=actor)

    def override(self, approval: str, *, reason: str = "", actor: Actor) -> Approval:
        """Go without a second person where there is none; the record says so for ever.

        Raises:
            NotAllowed: when the actor is no admin, or not alone in the workspace.
        """
        if actor.role != "admin":
            raise NotAllowed(
                f"only an admin can override; {actor.name} is {actor.role}", hint="Ask an admin, or for an approval."
            )

        def check(tx: Any, found: Approval, version: Version) -> None:
            check_waiting(found, version)
            if not self.records.is_alone(tx, actor.workspace):
                raise NotAllowed(
                    f"the workspace has more than one member, so approval {found.id} cannot be overridden",
                    hint="Ask another member who has scripts:approve to approve it.",
                )

        return self._close(approval, "overridden", check, reason=reason, actor=actor)

    def _new(self, version: Version, reason: str, *, actor: Actor) -> Approval:
        asks = asks_of(version)
        if not asks:
            raise Conflict(
                f"version {version.number} of {version.script_name} asks for nothing beyond the default",
                hint="It needs no approval: publish it.",
            )
        return Approval(
            id=ApprovalId(new_id("apr")),
            workspace=actor.workspace,
            version=version.id,
            version_hash=version.hash,
            asks=asks,
            state="waiting",
            requested_by=actor.member,
            requested_at=self.clock(),
            reason=reason,
        )

    def _decide(self, approval: str, state: ApprovalState, *, reason: str, actor: Actor) -> Approval:
        def check(_tx: Any, found: Approval, version: Version) -> None:
            check_decision(found, version, by=actor.member)

        return self._close(approval, state, check, reason=reason, actor=actor)

    def _close(
        self,
        approval: str,
        state: ApprovalState,
        check: Callable[[Any, Approval, Version], None],
        *,
        reason: str,
        actor: Actor,
    ) -> Approval:
        require(actor, "scripts:approve")

        def record(tx: Any) -> Approval:
            version = self.records.load_version(
                tx, actor.workspace, self.records.find_approval(tx, actor.workspace, approval).version
            )
            script = self.records.find_script(tx, actor.workspace, version.script, lock=True)
            found = self.records.find_approval(tx, actor.workspace, approval)
            check(tx, found, self.records.find_version(tx, script, version.id))
            decided = replace(
                found, state=state, decided_by=actor.member, decided_at=self.clock(), decision_reason=reason or None
            )
            self.records.decide_approval(tx, decided)
            self._note(tx, _ACTIONS[state], decided, actor=actor)
            return decided

        return self.database.write(record)

    def _note(self, tx: Any, action: str, approval: Approval, *, actor: Actor) -> None:
        details = {"version": approval.version, "hash": approval.version_hash, "asks": "; ".join(approval.asks)}
        reason = approval.decision_reason or "" if approval.decided_by else approval.reason
        self.audit.record(tx, actor, AuditEvent(action, approval.id, details={**details, "reason": reason}))


_ACTIONS: dict[ApprovalState, str] = {
    "approved": "approval.approve",
    "refused": "approval.refuse",
    "overridden": "approval.override",
}
