"""Quotas: what a workspace may use, and what it uses. The rate of requests is held to by the API itself."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from penstock.base.text import duration, size
from penstock.core import limits
from penstock.core.access import Quotas, Usage, WorkspaceId
from penstock.core.errors import NotFound, TooLarge, TooMany
from penstock.core.jobs import Depth
from penstock.core.ports.service import Clock
from penstock.database.statements import Statement

_DAY_S: Final = 86_400
_CACHED_MAX: Final = 10_000  # workspaces
_UNKNOWN_RATE_S: Final = 10.0  # nothing has drained yet: soon enough to look, late enough not to hammer
_SEE: Final = "See what is used: penstock quota"

_READ: Final = Statement(
    "SELECT w.quotas, w.stored_bytes, u.cpu_s FROM workspaces w"
    " LEFT JOIN usage u ON u.workspace = w.id AND u.day = :day WHERE w.id = :workspace"
)
_ADD: Final = Statement("UPDATE workspaces SET stored_bytes = stored_bytes + :more WHERE id = :workspace")
_WRITE: Final = Statement("UPDATE workspaces SET quotas = :quotas WHERE id = :workspace")


@dataclass(slots=True)
class _Cached:
    usage: Usage
    read_at: float


class SqlQuotas:
    """Quotas as JSON on the workspace; only those that differ from the default are stored."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._cache: dict[WorkspaceId, _Cached] = {}

    def cached(self, workspace: WorkspaceId) -> Usage | None:
        """Return what is known of a workspace without asking the database, unless that is too old."""
        cached = self._cache.get(workspace)
        fresh = cached is not None and 0 <= self.clock() - cached.read_at < limits.QUOTA_AGE.value
        return cached.usage if cached is not None and fresh else None

    def usage(self, tx: Any, workspace: WorkspaceId) -> Usage:
        """Return what a workspace may use and uses, a second old at most."""
        if (known := self.cached(workspace)) is not None:
            return known
        if len(self._cache) >= _CACHED_MAX:
            self._cache.clear()
        usage = self.read(tx, workspace)
        self._cache[workspace] = _Cached(usage, self.clock())
        return usage

    def read(self, tx: Any, workspace: WorkspaceId) -> Usage:
        """Return what a workspace may use and uses, as it is now."""
        row = _READ.run(tx, {"workspace": workspace, "day": day(self.clock())}).one_or_none()
        if row is None:
            raise NotFound(f"there is no workspace {workspace!r}", hint="See: penstock workspaces list")
        return Usage(read_quotas(row.quotas), row.stored_bytes, row.cpu_s or 0.0)

    def set_quotas(self, tx: Any, workspace: WorkspaceId, quotas: Quotas) -> None:
        """Store quotas."""
        _WRITE.run(tx, {"workspace": workspace, "quotas": written_quotas(quotas)})
        self._cache.pop(workspace, None)

    def check_submit(self, tx: Any, workspace: WorkspaceId, *, depth: Depth, size_bytes: int) -> None:
        """Return when one more job of a size fits.

        Raises:
            TooLarge: when the request, or all that is stored with it, is larger than the quota.
            TooMany: when the queue is full or the day's CPU time is used up; with the time when to come back.
        """
        usage = self.usage(tx, workspace)
        _check_sizes(usage, size_bytes)
        _check_queue(usage.quotas, depth)
        left_s = _DAY_S - self.clock() % _DAY_S
        if usage.cpu_s_today >= usage.quotas.cpu_s_per_day_max:
            raise TooMany(
                f"the workspace has used {usage.cpu_s_today:,.0f} s of CPU today; "
                f"cpu_s_per_day_max is {usage.quotas.cpu_s_per_day_max:,}",
                hint=f"It starts again at midnight UTC, in {duration(left_s)}. {_SEE}",
                retry_after_s=math.ceil(left_s),
            )

    def check_size(self, tx: Any, workspace: WorkspaceId, size_bytes: int) -> None:
        """Return when bytes that are being received still fit.

        Raises:
            TooLarge: naming the quota.
        """
        _check_sizes(self.usage(tx, workspace), size_bytes)

    def add_stored(self, tx: Any, workspace: WorkspaceId, size_bytes: int) -> None:
        """Count bytes that are stored in the same transaction; fewer than none for what is deleted."""
        if not size_bytes:
            return
        _ADD.do(tx, {"workspace": workspace, "more": size_bytes})
        if (cached := self._cache.get(workspace)) is not None:  # or a burst within a second would pass unseen
            usage = cached.usage
            cached.usage = Usage(usage.quotas, usage.stored_bytes + size_bytes, usage.cpu_s_today)


def read_quotas(text: str) -> Quotas:
    """Return quotas from their JSON; what is not among it has the default."""
    return Quotas(**json.loads(text))


def written_quotas(quotas: Quotas) -> str:
    """Return the JSON of what differs from the default, so that a new default reaches everybody else."""
    default = asdict(Quotas())
    return json.dumps({name: value for name, value in asdict(quotas).items() if value != default[name]})


def day(at: float) -> str:
    """Return the day in UTC of a time, as the table `usage` writes it."""
    return dt.datetime.fromtimestamp(at, dt.UTC).date().isoformat()


def _check_sizes(usage: Usage, size_bytes: int) -> None:
    quotas = usage.quotas
    if size_bytes > quotas.request_bytes_max:
        raise TooLarge(
            f"the request has {size(size_bytes)}; request_bytes_max is {size(quotas.request_bytes_max)}",
            hint="Send it in several jobs, or compressed.",
        )
    if usage.stored_bytes + size_bytes > quotas.stored_bytes_max:
        raise TooLarge(
            f"the workspace stores {size(usage.stored_bytes)}, and {size(size_bytes)} more do not fit; "
            f"stored_bytes_max is {size(quotas.stored_bytes_max)}",
            hint=f"Wait until older results are removed, or ask an admin for a larger quota. {_SEE}",
        )


def _check_queue(quotas: Quotas, depth: Depth) -> None:
    queued = depth.scheduled + depth.ready
    if queued < quotas.queued_jobs_max:
        return
    drained = f"{depth.drained_per_s:,.1f} end each second" if depth.drained_per_s > 0 else "none has ended lately"
    after_s = retry_after(queued - quotas.queued_jobs_max + 1, drained_per_s=depth.drained_per_s)
    raise TooMany(
        f"{queued:,} jobs and chunks of the workspace wait, and {drained}; "
        f"queued_jobs_max is {quotas.queued_jobs_max:,}",
        hint=f"Try again in {duration(after_s)}. {_SEE}",
        retry_after_s=after_s,
    )


def retry_after(waiting: int, *, drained_per_s: float) -> float:
    """Return in how many whole seconds that many will have left the queue, at the rate of lately."""
    if drained_per_s <= 0:
        return _UNKNOWN_RATE_S
    return float(min(math.ceil(waiting / drained_per_s), limits.RETRY_AFTER.value))
