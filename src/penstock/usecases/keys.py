"""API keys: who shows one, making them, ending them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.core.access import PERMISSIONS, Actor, ApiKey, AuditEvent, KeyId, Permission
from penstock.core.errors import KeyEnded, NotFound, RequestInvalid, TransientError
from penstock.core.ports import Audit, Clock, Database
from penstock.core.ports.access import KeyRecords, MemberRecords
from penstock.usecases.audit import AuditLog
from penstock.usecases.names import check_name
from penstock.usecases.permissions import require
from penstock.usecases.recent_keys import RecentKeys


@dataclass(frozen=True, slots=True)
class Keys:
    """What can be asked of API keys."""

    database: Database
    records: KeyRecords
    members: MemberRecords
    audit: Audit
    audit_log: AuditLog
    clock: Clock
    recent: RecentKeys = field(default_factory=RecentKeys)

    def recognise(self, text: str, *, origin: str, request_id: str = "") -> Actor | None:
        """Return who shows a key, when that is known without asking the database."""
        known = self.recent.get(text)
        return known and replace(known, origin=origin, request_id=request_id)

    def authenticate(self, text: str, *, origin: str, request_id: str = "") -> Actor:
        """Return who shows a key.

        Raises:
            NotLoggedIn: when there is no such key, or it has ended; the workspace of an ended one is told by its audit.
        """
        if (known := self.recognise(text, origin=origin, request_id=request_id)) is not None:
            return known
        changes, asked_s = self.recent.changes, self.recent.now_s()
        try:
            with self.database.read() as tx:
                found = self.records.authenticate(tx, text)
        except KeyEnded as error:
            actor = replace(error.actor, origin=origin, request_id=request_id)
            event = AuditEvent(
                "request.refuse", request_id, "refused", {"code": error.code, "why": "the key has ended"}
            )
            self.audit_log.refused(actor, event)
            raise
        self.recent.keep(text, found, changes=changes, asked_s=asked_s)
        key = found.key
        if key is not None and self.records.use_is_due(key):
            with contextlib.suppress(TransientError):  # a database that cannot be written to can still be read
                self.database.write(lambda tx: self.records.note_use(tx, key), durable=False)
        return replace(found, origin=origin, request_id=request_id)

    def confirm(self, tx: Any, text: str) -> Actor:
        """Return who shows a key as of a transaction: for what is accepted long after the key was shown.

        Raises:
            NotLoggedIn: when it has ended meanwhile.
        """
        return self.records.authenticate(tx, text)

    def list(self, *, actor: Actor, after: str = "", limit: int = 100) -> Sequence[ApiKey]:
        """Return the actor's keys; of all members when the actor may end them."""
        member = None if actor.may("keys:write") else actor.member
        with self.database.read() as tx:
            return self.records.list(tx, workspace=actor.workspace, member=member, after=after, limit=limit)

    def create(
        self,
        name: str,
        *,
        actor: Actor,
        member: str | None = None,
        scopes: frozenset[Permission] | None = None,
        expires_at: float | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key, for oneself or for another member, and return it with its text, which is shown this once.

        A key with scopes makes no keys unless `keys:write` is one of them: else who finds it could make a lasting one.

        Raises:
            RequestInvalid: when the end lies in the past, or a scope is more than the actor may.
            NotFound: when there is no such member.
        """
        narrowed = actor.permissions != PERMISSIONS[actor.role]
        if narrowed or member not in (None, actor.member, actor.name):
            require(actor, "keys:write")
        check_name(name, of="a key")
        if expires_at is not None and expires_at <= self.clock():
            raise RequestInvalid("the key would have expired already", hint="Give an end that lies in the future.")
        if narrowed and scopes is None:
            scopes = actor.permissions
        beyond = sorted((scopes or frozenset()) - actor.permissions)
        if beyond:
            raise RequestInvalid(
                f"the scope {beyond[0]!r} is more than {actor.name} may",
                hint=f"Scopes that are possible: {', '.join(sorted(actor.permissions))}.",
            )

        def create(tx: Any) -> tuple[ApiKey, str]:
            owner = self.members.get(tx, workspace=actor.workspace, member=member or actor.member)
            key, text = self.records.create(
                tx, workspace=actor.workspace, member=owner.id, name=name, scopes=scopes, expires_at=expires_at
            )
            details = {"name": name, "member": owner.id, "scopes": " ".join(sorted(scopes)) if scopes else None}
            self.audit.record(tx, actor, AuditEvent("key.create", key.id, details=details))
            return key, text

        return self.database.write(create)

    def revoke(self, key: str, *, actor: Actor) -> ApiKey:
        """End a key at once: one's own, or with `keys:write` anybody's.

        Raises:
            NotFound: when there is none, or it is another's and the actor may not see it.
        """

        def revoke(tx: Any) -> ApiKey:
            found = self.records.get(tx, workspace=actor.workspace, key=KeyId(key))
            if found.member != actor.member and not actor.may("keys:write"):
                raise NotFound(f"there is no API key {key!r} of yours", hint="See: penstock keys list")
            ended = self.records.revoke(tx, workspace=actor.workspace, key=found.id)
            self.audit.record(tx, actor, AuditEvent("key.revoke", found.id, details={"member": found.member}))
            return ended

        ended = self.database.write(revoke)
        self.recent.forget()
        return ended
