"""What is removed when it has been kept long enough."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId


@dataclass(frozen=True, slots=True)
class Removed:
    """One job, or the chunks of one, whose rows are gone.

    Attributes:
        stored_bytes: what its workspace gets back.
        keys: the blobs that nothing points to any more; they are still there.
    """

    run: RunId
    workspace: WorkspaceId
    stored_bytes: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retained:
    """What one tick has removed, for the log.

    Attributes:
        more: whether the next tick has more to do at once.
    """

    jobs: int = 0
    pieces_of: int = 0
    blobs: int = 0
    stored_bytes: int = 0
    more: bool = False
