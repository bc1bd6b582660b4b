"""Who may do what: members and their roles, the permissions of each, and the actor behind a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NewType, get_args

WorkspaceId = NewType("WorkspaceId", str)
MemberId = NewType("MemberId", str)
KeyId = NewType("KeyId", str)

Role = Literal["viewer", "editor", "operator", "admin"]
Permission = Literal[
    "jobs:read",  # see jobs and their state
    "data:read",  # read results, dead letters, inputs
    "scripts:read",
    "quota:read",
    "pipelines:read",  # see projects, runs, checks, and which tables there are; rows need data:read
    "jobs:write",  # submit; cancel and retry one's own
    "scripts:write",  # drafts, and trying them
    "pipelines:run",  # run, back-fill, resume, cancel
    "jobs:operate",  # cancel, retry and replay anybody's
    "scripts:publish",  # publish, activate, roll back, deprecate, revoke, resume
    "scripts:approve",
    "pipelines:deploy",  # deploy, pause schedules, roll tables back, maintain them
    "members:write",
    "keys:write",  # other members' keys; one's own need nothing
    "secrets:write",
    "policy:write",  # quotas, egress
    "audit:read",
]

_VIEWER: Final[frozenset[Permission]] = frozenset(
    ["jobs:read", "data:read", "scripts:read", "quota:read", "pipelines:read"]
)
_EDITOR: Final = _VIEWER | frozenset[Permission](["jobs:write", "scripts:write", "pipelines:run"])
_OPERATOR: Final = _EDITOR | frozenset[Permission](
    ["jobs:operate", "scripts:publish", "scripts:approve", "pipelines:deploy"]
)
PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    "viewer": _VIEWER,
    "editor": _EDITOR,
    "operator": _OPERATOR,
    "admin": frozenset(get_args(Permission)),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a member, by one API key, from somewhere. Everything a use case does is scoped to its workspace.

    Attributes:
        permissions: those of the role that the key's scopes leave.
        origin: the address that the request came from, or `local` for a command on the server's own machine.
        request_id: ties log lines and audit events of one request together.
    """

    workspace: WorkspaceId
    member: MemberId
    name: str
    role: Role
    permissions: frozenset[Permission]
    key: KeyId | None = None
    origin: str = "local"
    request_id: str = ""

    @property
    def local(self) -> bool:
        """Whether this is a command on the server's own machine: only there nobody shows a key."""
        return self.key is None

    def may(self, permission: Permission) -> bool:
        """Return whether the actor has a permission."""
        return permission in self.permissions


def local_actor(workspace: WorkspaceId) -> Actor:
    """Return who acts when somebody runs a command on the server's own machine."""
    return Actor(workspace, MemberId("local"), "local", "admin", PERMISSIONS["admin"])


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to what, and how it ended. Never a payload's value.

    Attributes:
        action: `noun.verb`, such as `job.submit` or `result.read`.
        subject: the id of what it was done to.
        outcome: `done`, or `refused` with the error's code in `details`.
    """

    action: str
    subject: str
    outcome: Literal["done", "refused"] = "done"
    details: Mapping[str, str | int | float | bool | None] | None = None


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a workspace may use at once and a day.

    Attributes:
        requests_per_s: for each API process; a burst of twice as many is let through.
    """

    queued_jobs_max: int = 10_000
    running_jobs_max: int = 64
    stored_bytes_max: int = 50 * 2**30
    cpu_s_per_day_max: int = 24 * 3600
    requests_per_s: int = 1_000
    request_bytes_max: int = 8 * 2**30


@dataclass(frozen=True, slots=True)
class Policy:
    """What a workspace's work may reach outside.

    Attributes:
        egress: what may be reached though its address is not public, or without TLS: hosts (`hooks.example.com`, or
            `hooks.example.com:8080` for that port alone) and networks (`10.1.0.0/16`).
    """

    egress: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that may be reached, and the addresses that this was found for: to be connected to, and no others.

    Attributes:
        target: path and query, as they are sent.
        addresses: of the host, in the order to be tried.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workspace:
    """One tenant."""

    id: WorkspaceId
    name: str
    created_at: float
    quotas: Quotas = field(default_factory=Quotas)
    policy: Policy = field(default_factory=Policy)
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """Who may work in a workspace; one person in two workspaces is two members."""

    id: MemberId
    workspace: WorkspaceId
    name: str
    role: Role
    created_at: float
    created_by: MemberId | None = None
    removed_at: float | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key once its text has been shown.

    Attributes:
        scopes: the permissions that it is limited to; None is all of its member's role.
    """

    id: KeyId
    workspace: WorkspaceId
    member: MemberId
    name: str
    scopes: frozenset[Permission] | None
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """What is known of a secret; its value never comes out again."""

    name: str
    updated_at: float
    updated_by: MemberId


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An audit event as it is kept.

    Attributes:
        number: its place in the workspace's chain, from 1; None for up to a second, until it is sealed.
        hash: over the event and the hash of the one before, in hexadecimal.
    """

    id: int
    workspace: WorkspaceId
    at: float
    actor: str
    actor_name: str
    action: str
    subject: str
    outcome: str
    origin: str
    request_id: str
    details: Mapping[str, str | int | float | bool | None]
    number: int | None = None
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which audit events are wanted; None is any.

    Attributes:
        before: the id of the last one seen: the newest come first.
    """

    action: str | None = None
    member: str | None = None
    subject: str | None = None
    outcome: str | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What checking a workspace's chain of audit events found.

    Attributes:
        number: events that were checked: the number of the last.
        head: the hash of the last; noted elsewhere, it proves later that nothing before it was changed.
        unsealed: events that have no place in the chain yet.
        complete: whether that was the end; else the next stretch begins at `number` and `head`.
        problems: the number and what is wrong there; the first ones.
    """

    workspace: WorkspaceId
    number: int
    head: str
    unsealed: int
    complete: bool
    problems: tuple[tuple[int, str], ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Usage:
    """What a workspace uses beside its quotas: now, and since midnight UTC."""

    quotas: Quotas
    stored_bytes: int
    cpu_s_today: float
