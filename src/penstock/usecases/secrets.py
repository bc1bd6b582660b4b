"""Secrets of a workspace: stored, replaced, removed; their values never come out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.core import limits
from penstock.core.access import Actor, AuditEvent, StoredSecret
from penstock.core.errors import RequestInvalid, TooLarge
from penstock.core.ports import Audit, Database
from penstock.core.ports.access import SecretRecords
from penstock.usecases.names import check_secret_name
from penstock.usecases.permissions import require


@dataclass(frozen=True, slots=True)
class Secrets:
    """What can be asked of secrets."""

    database: Database
    records: SecretRecords
    audit: Audit

    def list(self, *, actor: Actor, after: str = "", limit: int = 100) -> Sequence[StoredSecret]:
        """Return names and dates; whoever may submit jobs may know which names they can use."""
        require(actor, "jobs:write")
        with self.database.read() as tx:
            return self.records.names(tx, workspace=actor.workspace, after=after, limit=limit)

    def put(self, name: str, value: bytes, *, actor: Actor) -> None:
        """Store a secret, in place of the one of that name.

        Raises:
            RequestInvalid: when the name cannot be one, or there is no value.
            TooLarge: when the value is larger than a secret may be.
        """
        require(actor, "secrets:write")
        check_secret_name(name)
        most = limits.SECRET_BYTES.value * 1024
        if not value:
            raise RequestInvalid("the secret is empty", hint="Give a value; to remove it: penstock secrets remove NAME")
        if len(value) > most:
            raise TooLarge(
                f"the secret has {len(value):,} bytes; secret_bytes is {most:,}", hint="Store a key, not data."
            )

        def put(tx: Any) -> None:
            self.records.put(tx, workspace=actor.workspace, name=name, value=value, by=actor.member)
            self.audit.record(tx, actor, AuditEvent("secret.put", name))

        self.database.write(put)

    def remove(self, name: str, *, actor: Actor) -> None:
        """Remove a secret.

        Raises:
            NotFound: when there is none of that name.
        """
        require(actor, "secrets:write")

        def remove(tx: Any) -> None:
            self.records.delete(tx, workspace=actor.workspace, name=name)
            self.audit.record(tx, actor, AuditEvent("secret.remove", name))

        self.database.write(remove)

    def rotate(self, *, actor: Actor) -> int:
        """Encrypt every secret of the workspace anew, by a new data key; return how many there are."""
        require(actor, "secrets:write")

        def rotate(tx: Any) -> int:
            count = self.records.rotate(tx, workspace=actor.workspace)
            self.audit.record(tx, actor, AuditEvent("secret.rotate", actor.workspace, details={"secrets": count}))
            return count

        return self.database.write(rotate)

    def rewrap(self) -> int:
        """Wrap data keys by the newest master key, at the start of a server; return how many were not.

        Raises:
            SettingInvalid: when a master key is missing that wraps one of them.
        """
        with self.database.read() as tx:
            if self.records.is_newest(tx):
                return 0
        return self.database.write(self.records.rewrap)
