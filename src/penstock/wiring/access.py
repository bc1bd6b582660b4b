"""The parts of a server that decide who may do what, put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penstock.access.audit import SqlAudit
from penstock.access.chain import SqlAuditChain
from penstock.access.egress import HttpEgress
from penstock.access.keys import SqlKeys
from penstock.access.master import load_master_keys
from penstock.access.members import SqlMembers
from penstock.access.quotas import SqlQuotas
from penstock.access.secrets import SqlSecrets
from penstock.access.workspaces import SqlWorkspaces
from penstock.core.ports import Audit, Clock, Database, Queue
from penstock.core.ports.access import Egress, QuotaBook, SecretRecords
from penstock.core.settings import Settings
from penstock.usecases.audit import AuditLog
from penstock.usecases.keys import Keys
from penstock.usecases.members import Members
from penstock.usecases.quotas import QuotaUse
from penstock.usecases.recent_keys import RecentKeys
from penstock.usecases.secrets import Secrets
from penstock.usecases.workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class Access:
    """Use cases of access, and the adapters that other use cases need of it."""

    workspaces: Workspaces
    members: Members
    keys: Keys
    quotas: QuotaUse
    secrets: Secrets
    audit_log: AuditLog
    egress: Egress
    audit: Audit
    quota_records: QuotaBook
    secret_records: SecretRecords


def assemble_access(settings: Settings, database: Database, queue: Queue, clock: Clock) -> Access:
    """Put the parts together, with every data key wrapped by the newest master key.

    Raises:
        SettingInvalid: when a master key is missing, or is not one.
    """
    master = load_master_keys(settings.master_key, home=Path(settings.home), embedded=settings.embedded)
    audit, quotas, keys = SqlAudit(clock), SqlQuotas(clock), SqlKeys(clock)
    workspaces, members, secrets = SqlWorkspaces(clock), SqlMembers(clock), SqlSecrets(clock, master)
    recent = RecentKeys()
    audit_log = AuditLog(database, SqlAuditChain(), audit)
    parts = Access(
        workspaces=Workspaces(database, workspaces, members, keys, quotas, queue, audit, clock),
        members=Members(database, members, keys, workspaces, audit, recent),
        keys=Keys(database, keys, members, audit, audit_log, clock, recent),
        quotas=QuotaUse(database, quotas, queue),
        secrets=Secrets(database, secrets, audit),
        audit_log=audit_log,
        egress=HttpEgress(),
        audit=audit,
        quota_records=quotas,
        secret_records=secrets,
    )
    parts.secrets.rewrap()
    return parts
