"""Ports of who may do what: workspaces, members, keys, quotas, secrets, audit, and what may be reached outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from penstock.core.access import (
    Actor,
    ApiKey,
    AuditFilter,
    AuditRow,
    ChainReport,
    Destination,
    KeyId,
    Member,
    MemberId,
    Permission,
    Policy,
    Quotas,
    Role,
    StoredSecret,
    Usage,
    Workspace,
    WorkspaceId,
)
from penstock.core.jobs import Depth


class KeyRecords(Protocol):
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


class WorkspaceRecords(Protocol):
    """Workspaces and their policies."""

    def create(self, tx: Any, name: str) -> Workspace:
        """Make an empty workspace, or raise Conflict."""

    def list(self, tx: Any) -> Sequence[Workspace]:
        """Return every workspace, by name."""

    def get(self, tx: Any, workspace: WorkspaceId) -> Workspace:
        """Return a workspace by its id, or raise NotFound."""

    def find(self, tx: Any, name: str) -> Workspace:
        """Return a workspace by its name, or raise NotFound."""

    def set_policy(self, tx: Any, workspace: WorkspaceId, policy: Policy) -> None:
        """Store a policy."""

    def lock(self, tx: Any, workspace: WorkspaceId) -> None:
        """Keep others from changing the workspace's members and secrets until this transaction ends."""


class MemberRecords(Protocol):
    """Members, and the one-time tokens by which they log in."""

    def add(
        self, tx: Any, *, workspace: WorkspaceId, name: str, role: Role, created_by: MemberId | None = None
    ) -> Member:
        """Add a member; somebody of the same name who was removed comes back as the one they were."""

    def get(self, tx: Any, *, workspace: WorkspaceId, member: str) -> Member:
        """Return a member by id or by name, or raise NotFound."""

    def list(self, tx: Any, *, workspace: WorkspaceId, after: str = "", limit: int = 100) -> Sequence[Member]:
        """Return the members of a workspace, by id."""

    def names(self, tx: Any, *, workspace: WorkspaceId, members: Sequence[str]) -> Mapping[str, str]:
        """Return the names of members by their ids, also of those who were removed; who never was one is left out."""

    def other_admins(self, tx: Any, member: Member) -> int:
        """Return how many admins the workspace has beside a member."""

    def set_role(self, tx: Any, member: Member, role: Role) -> Member:
        """Give a member another role."""

    def remove(self, tx: Any, member: Member) -> None:
        """Remove a member, and the login tokens that were for them."""

    def create_token(self, tx: Any, member: Member) -> str:
        """Return a new login token of a member, good for one login within a day; earlier ones end."""

    def take_token(self, tx: Any, text: str) -> Member:
        """Use a login token up, and return whose it is, or raise NotLoggedIn."""


class SecretRecords(Protocol):
    """Values that are stored encrypted, by name."""

    def put(self, tx: Any, *, workspace: WorkspaceId, name: str, value: bytes, by: MemberId) -> None:
        """Store a secret, in place of the one of that name."""

    def resolve(self, tx: Any, workspace: WorkspaceId, name: str) -> bytes:
        """Return the value of a secret, for the platform's own use.

        Raises:
            NotFound: when the workspace has none of that name.
            SecretUnreadable: when it was changed outside of Penstock, or its master key is not known.
        """

    def names(self, tx: Any, *, workspace: WorkspaceId, after: str = "", limit: int = 100) -> Sequence[StoredSecret]:
        """Return what is known of a workspace's secrets, by name."""

    def delete(self, tx: Any, *, workspace: WorkspaceId, name: str) -> None:
        """Remove a secret, or raise NotFound."""

    def rotate(self, tx: Any, *, workspace: WorkspaceId) -> int:
        """Encrypt every secret of a workspace anew, by a new data key; return how many there are."""

    def rewrap(self, tx: Any) -> int:
        """Wrap every data key by the newest master key that is not yet; return how many there were."""

    def is_newest(self, tx: Any) -> bool:
        """Return whether every data key is wrapped by the newest master key; raise SettingInvalid when one is lost."""


class AuditChain(Protocol):
    """Reading, sealing and checking audit events."""

    def seal(self, tx: Any, *, limit: int) -> int:
        """Give events their place in their workspace's chain, oldest first; return how many there were."""

    def list(self, tx: Any, workspace: WorkspaceId, wanted: AuditFilter) -> Sequence[AuditRow]:
        """Return events, the newest first."""

    def verify(
        self,
        tx: Any,
        workspace: WorkspaceId,
        *,
        start: tuple[int, str] | None = None,
        known: tuple[int, str] | None = None,
    ) -> ChainReport:
        """Check a stretch of a workspace's chain; the report says whether it came to the end.

        Args:
            tx: where it is read from.
            workspace: whose chain.
            start: the last number and hash of the stretch before; None begins at the beginning.
            known: a number and a hash that were noted elsewhere, which the chain must still pass through.
        """


class Egress(Protocol):
    """The only way out: nothing else of the platform connects to an address that a workspace has named."""

    def check(self, url: str, *, policy: Policy) -> Destination:
        """Return where a URL leads, its name resolved now, when it may be reached.

        Raises:
            EgressRefused: when it may not.
            DestinationUnavailable: when its name cannot be resolved now.
        """

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str], policy: Policy, timeout_s: float | None = None
    ) -> int:
        """Send a POST to the address that was checked, and return the status; redirects are not followed.

        Raises:
            EgressRefused: when it may not be reached.
            DestinationUnavailable: when it cannot be reached, or does not answer in time.
        """
