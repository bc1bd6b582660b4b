"""The chain of audit events: each sealed event's hash covers the event and the hash before it.

Whoever changes, removes, adds or moves a sealed event breaks every hash after it, and `verify` names the first place.
The last hash is kept beside the events, so that removing the newest shows too; noted elsewhere, it shows even that
somebody has made the whole chain anew. An event is sealed within a second or so; what happens to it before that does
not show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from penstock.core import limits
from penstock.core.access import AuditFilter, AuditRow, ChainReport, WorkspaceId
from penstock.database.statements import Statement

GENESIS: Final = "0" * 64  # the hash before the first event
_PROBLEMS_MAX: Final = 20
_PAGE: Final = 1_000
_HASHED: Final = (
    "workspace",
    "at",
    "actor",
    "actor_name",
    "action",
    "subject",
    "outcome",
    "origin",
    "request_id",
    "details",
    "number",
)

_COLUMNS: Final = (
    "SELECT id, workspace, at, actor, actor_name, action, subject, outcome, origin, request_id, details, number, hash"
    " FROM audit_events"
)
# One sealer at a time: on SQLite whoever writes is alone.
_ALONE: Final = Statement("SELECT 1", postgresql="SELECT pg_advisory_xact_lock(7_205_759_401)")
_UNSEALED: Final = Statement(f"{_COLUMNS} WHERE number IS NULL ORDER BY id LIMIT :limit")
_HEAD: Final = Statement("SELECT number, hash FROM audit_heads WHERE workspace = :workspace")
_SEAL: Final = Statement("UPDATE audit_events SET number = :number, hash = :hash WHERE id = :id AND number IS NULL")
_MOVE_HEAD: Final = Statement(
    "INSERT INTO audit_heads (workspace, number, hash) VALUES (:workspace, :number, :hash)"
    " ON CONFLICT (workspace) DO UPDATE SET number = excluded.number, hash = excluded.hash"
)
_SEALED: Final = Statement(f"{_COLUMNS} WHERE workspace = :workspace AND number > :after ORDER BY number LIMIT :limit")
_COUNT_UNSEALED: Final = Statement("SELECT COUNT(*) FROM audit_events WHERE workspace = :workspace AND number IS NULL")


class SqlAuditChain:
    """The chain in the tables `audit_events` and `audit_heads`."""

    def seal(self, tx: Any, *, limit: int) -> int:
        """Give events their place in their workspace's chain, oldest first; return how many there were."""
        _ALONE.run(tx).all()
        rows = _UNSEALED.run(tx, {"limit": limit}).mappings().all()
        heads: dict[str, tuple[int, str]] = {}
        seals = []
        for row in rows:
            workspace = row["workspace"]
            number, before = heads.get(workspace) or self._head(tx, workspace)
            heads[workspace] = number + 1, _hash(before, {**row, "number": number + 1})
            seals.append({"id": row["id"], "number": number + 1, "hash": heads[workspace][1]})
        if seals:
            _SEAL.run(tx, seals)
            _MOVE_HEAD.run(
                tx, [{"workspace": name, "number": at, "hash": hash_} for name, (at, hash_) in heads.items()]
            )
        return len(rows)

    def list(self, tx: Any, workspace: WorkspaceId, wanted: AuditFilter) -> Sequence[AuditRow]:
        """Return events, the newest first."""
        conditions, values = ["workspace = :workspace"], {"workspace": workspace, "limit": wanted.limit}
        for column, comparison, value in (
            ("action", "= :action", wanted.action),
            ("actor", "= :member", wanted.member),
            ("subject", "= :subject", wanted.subject),
            ("outcome", "= :outcome", wanted.outcome),
            ("at", ">= :since", wanted.since),
            ("at", "< :until", wanted.until),
            ("id", "< :before", wanted.before),
        ):
            if value is not None:
                conditions.append(f"{column} {comparison}")
                values[comparison.rpartition(":")[2]] = value
        statement = Statement(f"{_COLUMNS} WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT :limit")
        return [_row(row) for row in statement.run(tx, values).mappings()]

    def verify(
        self,
        tx: Any,
        workspace: WorkspaceId,
        *,
        start: tuple[int, str] | None = None,
        known: tuple[int, str] | None = None,
    ) -> ChainReport:
        """Check a stretch of a workspace's chain; the report says whether it came to the end."""
        problems: list[tuple[int, str]] = []
        number, hash_ = start or (0, GENESIS)
        # Whoever writes to the table can give numbers that nobody else could; those must show too.
        after, read = (number if start else -(2**62)), 0
        while rows := _SEALED.run(tx, {"workspace": workspace, "after": after, "limit": _PAGE}).mappings().all():
            for row in rows:
                problems += _problems(row, after=number, before=hash_)
                # From here on by what is written there, so that one change is told once.
                number, hash_ = row["number"], row["hash"]
                if known is not None and number == known[0] and hash_ != known[1]:
                    problems.append((number, "is not what was noted: the chain was made anew, here or before"))
            del problems[_PROBLEMS_MAX:]
            after, read = number, read + len(rows)
            if read >= limits.VERIFY_BATCH.value:
                return ChainReport(workspace, number, hash_, 0, complete=False, problems=tuple(problems))
        problems += self._problems_at_end(tx, workspace, number=number, hash_=hash_, known=known)
        unsealed = _COUNT_UNSEALED.run(tx, {"workspace": workspace}).scalar_one()
        return ChainReport(workspace, number, hash_, unsealed, complete=True, problems=tuple(problems[:_PROBLEMS_MAX]))

    def _problems_at_end(
        self, tx: Any, workspace: WorkspaceId, *, number: int, hash_: str, known: tuple[int, str] | None
    ) -> Iterator[tuple[int, str]]:
        head_number, head_hash = self._head(tx, workspace)
        if number < head_number:
            yield (
                head_number,
                f"is the last that was sealed, but the last that is there is {number:,}: events are missing",
            )
        elif number > head_number:
            yield head_number + 1, "was added after the last that was sealed"
        elif hash_ != head_hash:
            yield number, "is the last, but not the one that was sealed last"
        if known is not None and number < known[0]:
            yield known[0], "was noted, but is missing"

    def _head(self, tx: Any, workspace: str) -> tuple[int, str]:
        row = _HEAD.run(tx, {"workspace": workspace}).one_or_none()
        return (row.number, row.hash) if row is not None else (0, GENESIS)


def _problems(row: Any, *, after: int, before: str) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with an event, given the one before it."""
    number = row["number"]
    if number > after + 1:
        yield after + 1, "is missing" if number == after + 2 else f"is missing, with all up to {number - 1:,}"
    elif number <= after:
        yield number, "has no place in the chain"
    elif _hash(before, row) != row["hash"]:
        yield number, f"was changed, moved or put in (row {row['id']}, {row['action']})"


def _hash(before: str, values: Any) -> str:
    """Return the SHA-256 of the hash before and an event as JSON: sorted keys, shortest numbers, no spaces."""
    content = orjson.dumps({name: values[name] for name in _HASHED}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(before.encode() + b"\n" + content).hexdigest()


def _row(row: Any) -> AuditRow:
    details = orjson.loads(row["details"]) if row["details"] else {}
    return AuditRow(**{**row, "details": details})
