"""Workspaces: the first one, further ones, logging in, and what they may use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from penstock.core import limits
from penstock.core.access import (
    PERMISSIONS,
    Actor,
    AuditEvent,
    Member,
    Policy,
    Quotas,
    Workspace,
    local_actor,
)
from penstock.core.egress import entry_problem
from penstock.core.errors import NotAllowed, NotFound, NotLoggedIn, RequestInvalid
from penstock.core.ports import Audit, Clock, Database, Queue
from penstock.core.ports.access import KeyRecords, MemberRecords, QuotaBook, WorkspaceRecords
from penstock.usecases.names import check_name
from penstock.usecases.permissions import require

FIRST: Final = "default"
FIRST_ADMIN: Final = "admin"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DAY_S: Final = 86_400
_RUNNING_MAX: Final = 100_000  # what no number of workers can do
_QUOTA_MAX: Final = 2**53  # what a number in JSON holds exactly


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who has logged in, and the text of the API key that was made for it, which cannot be had again."""

    workspace: Workspace
    member: Member
    api_key: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class Workspaces:
    """What can be asked of workspaces. What needs no actor is for the server's own machine."""

    database: Database
    records: WorkspaceRecords
    members: MemberRecords
    keys: KeyRecords
    quotas: QuotaBook
    queue: Queue
    audit: Audit
    clock: Clock

    def ensure_first(self) -> str | None:
        """Make the first workspace with its admin; return a login token for as long as nobody has used one."""

        def ensure(tx: Any) -> str | None:
            found = self.records.list(tx)
            if not found:
                return self._create(tx, FIRST, FIRST_ADMIN)[1]
            first = found[0]
            if len(found) > 1 or self.keys.list(tx, workspace=first.id, limit=1):
                return None
            members = self.members.list(tx, workspace=first.id, limit=2)
            return self.members.create_token(tx, members[0]) if len(members) == 1 else None

        return self.database.write(ensure)

    def create(self, name: str, *, admin: str) -> tuple[Workspace, str]:
        """Make a workspace with its first admin, and return it with the admin's login token.

        Raises:
            RequestInvalid: when a name cannot be one.
            Conflict: when there is a workspace of that name.
        """
        if not _NAME.fullmatch(name):
            raise RequestInvalid(
                f"a workspace cannot be called {name!r}",
                hint="Use up to 63 small letters, digits and hyphens, such as data-team.",
            )
        check_name(admin, of="a member")
        return self.database.write(lambda tx: self._create(tx, name, admin))

    def list(self) -> Sequence[Workspace]:
        """Return every workspace of the server."""
        with self.database.read() as tx:
            return self.records.list(tx)

    def issue_token(self, name: str, *, member: str) -> str:
        """Return a new login token for a member of a workspace.

        Raises:
            NotFound: when there is no such workspace or member; who asks has no key yet, so the hint names the admins.
        """

        def issue(tx: Any) -> str:
            workspace = self.records.find(tx, name)
            try:
                found = self.members.get(tx, workspace=workspace.id, member=member)
            except NotFound as error:
                known = self.members.list(tx, workspace=workspace.id)
                admins = ", ".join(one.name for one in known if one.role == "admin")
                raise NotFound(error.message, hint=f"Name another with --member. Admins: {admins}.") from error
            self.audit.record(tx, local_actor(workspace.id), AuditEvent("member.token", found.id))
            return self.members.create_token(tx, found)

        return self.database.write(issue)

    def login(self, token: str, *, origin: str, request_id: str = "") -> LoggedIn:
        """Exchange a login token, once, for an API key.

        Raises:
            NotLoggedIn: when the token is not one, is used, or too old.
        """
        if not token.startswith("pt_"):  # an API key pasted by mistake is told apart before anything is asked
            raise NotLoggedIn("what was given is not a login token; one begins with pt_", hint="See: penstock login -h")

        def log_in(tx: Any) -> LoggedIn:
            member = self.members.take_token(tx, token)
            expires_at = self.clock() + limits.LOGIN_KEY.value * _DAY_S
            key, text = self.keys.create(
                tx, workspace=member.workspace, member=member.id, name="login", expires_at=expires_at
            )
            actor = Actor(
                member.workspace,
                member.id,
                member.name,
                member.role,
                PERMISSIONS[member.role],
                key.id,
                origin,
                request_id,
            )
            self.audit.record(tx, actor, AuditEvent("member.login", member.id))
            return LoggedIn(self.records.get(tx, member.workspace), member, text, expires_at)

        return self.database.write(log_in)

    def read(self, *, actor: Actor) -> Workspace:
        """Return the actor's workspace."""
        with self.database.read() as tx:
            return self.records.get(tx, actor.workspace)

    def change(self, *, actor: Actor, quotas: Quotas | None = None, policy: Policy | None = None) -> Workspace:
        """Set quotas and policy. Who administers a workspace may only tighten them; who runs the server sets them.

        Args:
            actor: who asks.
            quotas: the new ones; None leaves them.
            policy: the new one; None leaves it.

        Raises:
            NotAllowed: when a workspace's admin would loosen something.
            RequestInvalid: when a value cannot be one.
        """
        require(actor, "policy:write")
        _check(quotas, policy)

        def change(tx: Any) -> Workspace:
            self.records.lock(tx, actor.workspace)
            before = self.records.get(tx, actor.workspace)
            if not actor.local:
                _require_tighter(before, quotas, policy)
            details: dict[str, str | int | float | bool | None] = {}
            if quotas is not None:
                self.quotas.set_quotas(tx, before.id, quotas)
                self.queue.bound_workspace(tx, before.id, running_max=quotas.running_jobs_max)
                details.update(_differences(before.quotas, quotas))
            if policy is not None:
                self.records.set_policy(tx, before.id, policy)
                details["egress"] = ", ".join(policy.egress)
            self.audit.record(tx, actor, AuditEvent("workspace.change", before.id, details=details))
            return replace(before, quotas=quotas or before.quotas, policy=policy or before.policy)

        return self.database.write(change)

    def change_locally(self, name: str, *, quotas: dict[str, int], egress: Sequence[str] | None = None) -> Workspace:
        """Set quotas and policy of a workspace by its name, on the server's own machine."""
        with self.database.read() as tx:
            workspace = self.records.find(tx, name)
        unknown = sorted(set(quotas) - set(asdict(Quotas())))
        if unknown:
            raise RequestInvalid(f"there is no quota {unknown[0]!r}", hint=f"Quotas are {', '.join(asdict(Quotas()))}.")
        return self.change(
            actor=local_actor(workspace.id),
            quotas=replace(workspace.quotas, **quotas) if quotas else None,
            policy=None if egress is None else Policy(tuple(egress)),
        )

    def _create(self, tx: Any, name: str, admin: str) -> tuple[Workspace, str]:
        workspace = self.records.create(tx, name)
        member = self.members.add(tx, workspace=workspace.id, name=admin, role="admin")
        self.queue.bound_workspace(tx, workspace.id, running_max=workspace.quotas.running_jobs_max)
        actor = local_actor(workspace.id)
        self.audit.record(tx, actor, AuditEvent("workspace.create", workspace.id, details={"admin": member.id}))
        return workspace, self.members.create_token(tx, member)


def _check(quotas: Quotas | None, policy: Policy | None) -> None:
    problems = []
    if quotas is not None:
        for name, value in asdict(quotas).items():
            most = _RUNNING_MAX if name == "running_jobs_max" else _QUOTA_MAX
            if not 0 <= value <= most:
                problems.append({"place": f"body.quotas.{name}", "message": f"{value} is not in 0 to {most:,}"})
    if policy is not None:
        if len(policy.egress) > limits.EGRESS_ENTRIES.value:
            text = f"has {len(policy.egress):,} entries; {limits.EGRESS_ENTRIES.value} are possible"
            problems.append({"place": "body.egress", "message": text})
        for number, entry in enumerate(policy.egress):
            if problem := entry_problem(entry):
                problems.append({"place": f"body.egress[{number}]", "message": problem})
    if problems:
        first = problems[0]
        raise RequestInvalid(
            f"{first['place']}: {first['message']}",
            hint="An entry is a host (hooks.example.com), a host with a port, or a network (10.1.0.0/16).",
            problems=problems,
        )


def _require_tighter(before: Workspace, quotas: Quotas | None, policy: Policy | None) -> None:
    """Return when nothing is loosened: else a workspace could give itself the machine, or the network behind it."""
    if quotas is not None:
        present = asdict(before.quotas)
        for name, value in asdict(quotas).items():
            if value > present[name]:
                raise NotAllowed(
                    f"{name} is {present[name]:,}; a workspace's admin may lower it, not raise it to {value:,}",
                    hint="Whoever runs the server can, on its machine: "
                    f"penstock workspaces set {before.name} --quota {name}={value}",
                )
    if policy is not None:
        added = [entry for entry in policy.egress if entry not in before.policy.egress]
        if added:
            raise NotAllowed(
                f"{added[0]!r} is not in the egress policy; a workspace's admin may take entries out, not put them in",
                hint="Whoever runs the server can, on its machine: "
                f"penstock workspaces set {before.name} --egress {added[0]}",
            )


def _differences(before: Quotas, after: Quotas) -> dict[str, int]:
    present = asdict(before)
    return {name: value for name, value in asdict(after).items() if value != present[name]}
