"""Ports of who may do what: keys, quotas, secrets, and what may be reached outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from penstock.core.access import (
    Actor,
    ApiKey,
    KeyId,
    MemberId,
    Permission,
    Policy,
    Quotas,
    Usage,
    WorkspaceId,
)
from penstock.core.jobs import Depth


class ApiKeys(Protocol):
    """API keys, stored by their hash only."""

    def authenticate(self, tx: Any, text: str) -> Actor:
        """Return who shows a key; the actor's origin and request are the caller's to fill in.

        Raises:
            NotLoggedIn: when there is no such key, or it has ended.
        """

    def use_is_due(self, key: KeyId) -> bool:
        """Return whether the use of a key should be written: now and then only."""

    def note_use(self, tx: Any, key: KeyId) -> None:
        """Write that a key is used now."""

    def create(
        self,
        tx: Any,
        *,
        workspace: WorkspaceId,
        member: MemberId,
        name: str,
        scopes: frozenset[Permission] | None = None,
        expires_at: float | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key, and return it with its text, which cannot be had again."""

    def list(
        self, tx: Any, *, workspace: WorkspaceId, member: MemberId | None = None, after: str = "", limit: int = 100
    ) -> Sequence[ApiKey]:
        """Return the keys of a workspace, or of one member, by id."""

    def get(self, tx: Any, *, workspace: WorkspaceId, key: KeyId) -> ApiKey:
        """Return a key, or raise NotFound."""

    def revoke(self, tx: Any, *, workspace: WorkspaceId, key: KeyId) -> ApiKey:
        """End a key at once."""

    def revoke_all(self, tx: Any, *, workspace: WorkspaceId, member: MemberId) -> int:
        """End every key of a member, and return how many there were."""


class QuotaBook(Protocol):
    """What each workspace may use, and uses."""

    def cached(self, workspace: WorkspaceId) -> Usage | None:
        """Return the same without asking the database, unless what is known is too old."""

    def usage(self, tx: Any, workspace: WorkspaceId) -> Usage:
        """Return what a workspace may use and uses, a second old at most."""

    def read(self, tx: Any, workspace: WorkspaceId) -> Usage:
        """Return the same as it is now."""

    def set_quotas(self, tx: Any, workspace: WorkspaceId, quotas: Quotas) -> None:
        """Store quotas."""

    def check_submit(self, tx: Any, workspace: WorkspaceId, *, depth: Depth, size_bytes: int) -> None:
        """Return when one more job of a size fits.

        Raises:
            TooLarge: when the request, or all that is stored with it, is larger than the quota.
            TooMany: when the queue is full or the day's CPU time is used up; with the time when to come back.
        """

    def check_size(self, tx: Any, workspace: WorkspaceId, size_bytes: int) -> None:
        """Return when bytes that are being received still fit; raise TooLarge else."""

    def add_stored(self, tx: Any, workspace: WorkspaceId, size_bytes: int) -> None:
        """Count bytes that are stored in the same transaction; fewer than none for what is deleted."""


class Egress(Protocol):
    """The only way out: nothing else of the platform connects to an address that a workspace has named."""

    def check(self, url: str, *, policy: Policy) -> None:
        """Return when a URL may be reached as it looks now, its name resolved.

        Raises:
            EgressRefused: when it may not.
            DestinationUnavailable: when its name cannot be resolved now.
        """

    def post(self, url: str, body: bytes, *, headers: Mapping[str, str], policy: Policy, timeout_s: float) -> int:
        """Send a POST to the address that was checked, and return the status; redirects are not followed.

        Raises:
            EgressRefused: when it may not be reached.
            DestinationUnavailable: when it cannot be reached, or does not answer in time.
        """
