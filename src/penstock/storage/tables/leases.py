"""Leases of tables: who may load a table and commit to it now.

Iceberg refuses a commit that would lose another, so a lease is not what keeps a table right. It keeps writers from
building on what is about to change, since all branches of a table share one sequence of numbers, and it lets expiry
know that nobody commits meanwhile. A lease ends by itself: a killed holder is survived.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import TableBusy
from penstock.core.ports import Clock, Database
from penstock.core.tables import TableName
from penstock.database.statements import Statement

_ADD: Final = Statement(
    "INSERT INTO lake_leases (workspace, name, token, holder, expires_at) VALUES (:workspace, :name, 0, NULL, 0)"
    " ON CONFLICT (workspace, name) DO NOTHING"
)
_TAKE: Final = Statement(
    "UPDATE lake_leases SET token = token + 1, holder = :holder, expires_at = :expires_at"
    " WHERE workspace = :workspace AND name = :name AND (holder IS NULL OR expires_at < :now)"
)
_TOKEN: Final = Statement("SELECT token FROM lake_leases WHERE workspace = :workspace AND name = :name")
_EXTEND: Final = Statement(
    "UPDATE lake_leases SET expires_at = :expires_at"
    " WHERE workspace = :workspace AND name = :name AND token = :token AND holder IS NOT NULL"
)
_RELEASE: Final = Statement(
    "UPDATE lake_leases SET holder = NULL WHERE workspace = :workspace AND name = :name AND token = :token"
)


class LeaseLost(Exception):
    """Somebody else has taken the lease, because this holder was slow; nothing was recorded."""


@dataclass(slots=True)
class Held:
    """Leases that are held until `release`."""

    workspace: WorkspaceId
    tokens: dict[TableName, int]
    _expires_at: Callable[[], float]

    def extend(self, tx: Any) -> None:
        """Make the leases last again, in the transaction that relies on them.

        Raises:
            LeaseLost: when one is another's now.
        """
        expires_at = self._expires_at()
        for name, token in self.tokens.items():
            values = {"workspace": self.workspace, "name": name, "token": token, "expires_at": expires_at}
            if _EXTEND.run(tx, values).rowcount == 0:
                raise LeaseLost(name)

    def release(self, tx: Any) -> None:
        """Give the leases back, in the transaction that records what was done under them."""
        for name, token in self.tokens.items():
            _RELEASE.run(tx, {"workspace": self.workspace, "name": name, "token": token})


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases of all tables, in the records database.

    Attributes:
        lease_s: how long a killed holder keeps others waiting.
        wait_s: how long to wait for another holder.
    """

    database: Database
    clock: Clock
    lease_s: float = limits.LAKE_LEASE.value
    wait_s: float = limits.LAKE_WAIT.value

    @contextlib.contextmanager
    def hold(self, workspace: WorkspaceId, names: Sequence[TableName]) -> Iterator[Held]:
        """Hold the leases of some tables.

        They are given back at an error. Else whoever holds them releases them in its last transaction; and a process
        that is killed leaves them to end by themselves.

        Args:
            workspace: whose tables.
            names: taken in their order, so that two holders of several never wait for each other.

        Raises:
            TableBusy: when others have held one for too long.
        """
        held = Held(workspace, {}, lambda: self.clock() + self.lease_s)
        try:
            for name in sorted(set(names)):
                held.tokens[name] = self._take(workspace, name)
            yield held
        except Exception:
            with contextlib.suppress(Exception):  # the error is what matters; the leases end by themselves
                self.database.write(held.release, durable=False)
            raise

    def _take(self, workspace: WorkspaceId, name: TableName) -> int:
        key = {"workspace": workspace, "name": name}
        holder = f"{socket.gethostname()}:{os.getpid()}:{new_id('hold')[-8:]}"

        def take(tx: Any) -> int | None:
            _ADD.run(tx, key)
            now = self.clock()
            if _TAKE.run(tx, {**key, "holder": holder, "now": now, "expires_at": now + self.lease_s}).rowcount == 0:
                return None
            return int(_TOKEN.run(tx, key).scalar_one())

        give_up = time.monotonic() + self.wait_s
        pause = 0.002
        while (token := self.database.write(take, durable=False)) is None:
            if time.monotonic() > give_up:
                raise TableBusy(
                    f"the table {name} has been busy for {self.wait_s:g} s",
                    hint="Try again; if it stays, look for a worker that hangs.",
                    retry_after_s=self.lease_s,
                )
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 1.5, 0.1)
        return token
