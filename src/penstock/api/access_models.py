"""Who may do what, as the API takes and shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from penstock.base.times import iso
from penstock.core import limits
from penstock.core.access import (
    ApiKey,
    AuditRow,
    ChainReport,
    Member,
    Permission,
    Policy,
    Quotas,
    Role,
    StoredSecret,
    Usage,
    Workspace,
)
from penstock.core.jobs import Depth

PAGE_MAX: Final = 200
NAME: Final = r"^[A-Za-z0-9._@+ -]+$"
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Items at most.")]
NameCursor = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_]*$", description="`next` of the page before.")]
MemberName = Annotated[str, Path(min_length=1, max_length=64, pattern=NAME, description="Id or name of a member.")]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=NAME)]
Word = Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
Bound = Annotated[int, Field(ge=0, le=2**53)]


class Ask(BaseModel):
    """A body; what it does not know is refused, so that a typo is not silence."""

    model_config = ConfigDict(extra="forbid")


class LoginAsk(Ask):
    """A one-time token."""

    token: str = Field(min_length=1, max_length=200, description="As the first start, or an admin, has shown it.")


class MemberAsk(Ask):
    """A new member."""

    name: Name
    role: Role = "viewer"


class RoleAsk(Ask):
    """Another role."""

    role: Role


class KeyAsk(Ask):
    """A new API key."""

    name: Name = Field(description="What it is for.")
    member: Name | None = Field(None, description="Id or name of whose key it is; one's own when not given.")
    scopes: list[Permission] | None = Field(
        None, min_length=1, max_length=50, description="What it is limited to; all that the member's role allows else."
    )
    expires_at: AwareDatetime | None = Field(None, description="It ends by itself then; never when not given.")


class SecretAsk(Ask):
    """A secret's value."""

    value: str = Field(min_length=1, max_length=limits.SECRET_BYTES.value * 1024, description="Text; kept as UTF-8.")

    @field_validator("value")
    @classmethod
    def _is_text(cls, value: str) -> str:
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("half of a surrogate pair is no text")
        return value


class QuotasAsk(Ask):
    """Quotas that are to change."""

    queued_jobs_max: Bound | None = None
    running_jobs_max: Bound | None = None
    stored_bytes_max: Bound | None = None
    cpu_s_per_day_max: Bound | None = None
    requests_per_s: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    request_bytes_max: Bound | None = None


class WorkspaceAsk(Ask):
    """What is to change. A workspace's admin can tighten; who runs the server can loosen, on its machine."""

    quotas: QuotasAsk | None = None
    egress: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=1_000)] | None = Field(
        None, description="What is left of the hosts and networks that may be reached though they are not public."
    )


class QuotasShown(BaseModel):
    """What a workspace may use."""

    queued_jobs_max: int = Field(description="Jobs and chunks that wait.")
    running_jobs_max: int
    stored_bytes_max: int
    cpu_s_per_day_max: int = Field(description="Seconds, from midnight to midnight UTC.")
    requests_per_s: int
    request_bytes_max: int


class UsedShown(BaseModel):
    """What a workspace uses."""

    queued_jobs: int
    running_jobs: int
    stored_bytes: int
    cpu_s_today: float
    drained_per_s: float = Field(description="Jobs and chunks that ended a second lately.")


class QuotaShown(BaseModel):
    """Quotas beside their use."""

    quotas: QuotasShown
    used: UsedShown


class WorkspaceShown(BaseModel):
    """A workspace."""

    id: str
    name: str
    created_at: str
    quotas: QuotasShown
    egress: list[str]
    stored_bytes: int


class MemberShown(BaseModel):
    """A member."""

    id: str
    name: str
    role: Role
    created_at: str
    created_by: str | None = None


class NewMember(MemberShown):
    """A member with the token for the first login."""

    token: str = Field(description="Good for one login within a day; shown this once.")


class TokenShown(BaseModel):
    """A token for a login."""

    token: str = Field(description="Good for one login within a day; shown this once.")


class MemberPage(BaseModel):
    """Members."""

    items: list[MemberShown]
    next: str | None


class KeyShown(BaseModel):
    """What is known of an API key."""

    id: str
    member: str
    member_name: str
    name: str
    scopes: list[Permission] | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None = Field(description="Within ten minutes or so.")


class NewKey(KeyShown):
    """An API key with its text."""

    api_key: str = Field(description="The key itself; shown this once, and stored by its hash only.")


class KeyPage(BaseModel):
    """API keys."""

    items: list[KeyShown]
    next: str | None


class LoggedInShown(BaseModel):
    """Who has logged in."""

    api_key: str = Field(description="Shown this once.")
    expires_at: str
    workspace: WorkspaceShown
    member: MemberShown


class MeShown(BaseModel):
    """Who asks."""

    workspace: WorkspaceShown
    member: str
    name: str
    role: Role
    permissions: list[Permission]
    key: str | None


class SecretShown(BaseModel):
    """What is known of a secret; never its value."""

    name: str
    updated_at: str
    updated_by: str
    updated_by_name: str = Field(description="The member's name.")


class SecretPage(BaseModel):
    """Secrets."""

    items: list[SecretShown]
    next: str | None


class RotationShown(BaseModel):
    """What a rotation did."""

    secrets: int = Field(description="Encrypted anew.")


class AuditShown(BaseModel):
    """An audit event."""

    id: int
    at: str
    member: str
    member_name: str
    action: str
    subject: str
    outcome: str
    origin: str
    request_id: str
    details: dict[str, Any]
    number: int | None = Field(description="Its place in the chain; null for a second or so.")
    hash: str | None


class AuditPage(BaseModel):
    """Audit events, the newest first."""

    items: list[AuditShown]
    next: str | None


class ChainProblem(BaseModel):
    """A place where the chain is broken."""

    number: int
    message: str


class ChainShown(BaseModel):
    """What checking a stretch of the chain found."""

    whole: bool
    complete: bool = Field(description="Whether it came to the end; else go on with `start=<number>:<head>`.")
    number: int
    head: str = Field(description="Note number and head elsewhere: they prove later that nothing before was changed.")
    unsealed: int
    problems: list[ChainProblem]


def show_quotas(quotas: Quotas) -> dict[str, Any]:
    """Return quotas as JSON."""
    return {name: getattr(quotas, name) for name in QuotasShown.model_fields}


def show_usage(usage: Usage, depth: Depth) -> dict[str, Any]:
    """Return quotas and their use as JSON."""
    used = {
        "queued_jobs": depth.scheduled + depth.ready,
        "running_jobs": depth.running,
        "stored_bytes": usage.stored_bytes,
        "cpu_s_today": round(usage.cpu_s_today, 3),
        "drained_per_s": round(depth.drained_per_s, 3),
    }
    return {"quotas": show_quotas(usage.quotas), "used": used}


def show_workspace(workspace: Workspace) -> dict[str, Any]:
    """Return a workspace as JSON."""
    return {
        "id": workspace.id,
        "name": workspace.name,
        "created_at": iso(workspace.created_at),
        "quotas": show_quotas(workspace.quotas),
        "egress": list(workspace.policy.egress),
        "stored_bytes": workspace.stored_bytes,
    }


def show_member(member: Member) -> dict[str, Any]:
    """Return a member as JSON."""
    return {
        "id": member.id,
        "name": member.name,
        "role": member.role,
        "created_at": iso(member.created_at),
        "created_by": member.created_by,
    }


def show_key(key: ApiKey, *, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what is known of a key as JSON; `names` are those of members, by id."""
    return {
        "id": key.id,
        "member": key.member,
        "member_name": names.get(key.member, key.member),
        "name": key.name,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
        "revoked_at": iso(key.revoked_at),
        "last_used_at": iso(key.last_used_at),
    }


def show_secret(secret: StoredSecret, *, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what is known of a secret as JSON; `names` are those of members, by id."""
    return {
        "name": secret.name,
        "updated_at": iso(secret.updated_at),
        "updated_by": secret.updated_by,
        "updated_by_name": names.get(secret.updated_by, secret.updated_by),
    }


def show_event(row: AuditRow) -> dict[str, Any]:
    """Return an audit event as JSON."""
    return {
        "id": row.id,
        "at": iso(row.at),
        "member": row.actor,
        "member_name": row.actor_name,
        "action": row.action,
        "subject": row.subject,
        "outcome": row.outcome,
        "origin": row.origin,
        "request_id": row.request_id,
        "details": dict(row.details),
        "number": row.number,
        "hash": row.hash,
    }


def show_chain(report: ChainReport) -> dict[str, Any]:
    """Return what was found as JSON."""
    return {
        "whole": report.whole,
        "complete": report.complete,
        "number": report.number,
        "head": report.head,
        "unsealed": report.unsealed,
        "problems": [{"number": number, "message": message} for number, message in report.problems],
    }


def changed_quotas(ask: QuotasAsk | None, present: Quotas) -> Quotas | None:
    """Return quotas with what is to change; None when nothing is."""
    if ask is None:
        return None
    return Quotas(**{**show_quotas(present), **ask.model_dump(exclude_none=True)})


def new_policy(egress: list[str] | None) -> Policy | None:
    """Return a policy; None when it is to stay."""
    return None if egress is None else Policy(tuple(egress))
