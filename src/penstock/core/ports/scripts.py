"""The port of scripts: their versions, which one is active, and approvals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from penstock.core.access import WorkspaceId
from penstock.core.jobs import VersionId
from penstock.core.versions import Activation, Approval, ApprovalState, Script, Version, VersionState


class ScriptRecords(Protocol):
    """Scripts, their versions, which one is and was active, and approvals."""

    def resolve(self, tx: Any, workspace: WorkspaceId, script: str, asked: str) -> tuple[Script, Version]:
        """Return a script and the version of it that a job gets: one or two short queries, the rest from memory.

        Args:
            tx: a transaction.
            workspace: whose script.
            script: its name or id.
            asked: `active`, an exact version, or a range such as `^1.2`.

        Raises:
            NotFound: when there is no such script (the hint names the nearest) or version (it names those there are).
            VersionRevoked: when a revoked version is named exactly.
            RequestInvalid: when `asked` is no version.
        """

    def load_version(self, tx: Any, workspace: WorkspaceId, version: VersionId) -> Version:
        """Return one version, whatever its state; what cannot change any more may come from memory.

        Raises:
            NotFound: when the workspace has none under that id.
        """

    def find_script(self, tx: Any, workspace: WorkspaceId, script: str, *, lock: bool = False) -> Script:
        """Return a script by name or id.

        Args:
            tx: a transaction.
            workspace: whose script.
            script: its name or id.
            lock: whether nobody else may change it, or its versions, until the transaction ends.

        Raises:
            NotFound: when there is none; the hint names the nearest.
        """

    def list_scripts(self, tx: Any, workspace: WorkspaceId, *, after: str | None, limit: int) -> list[Script]:
        """Return scripts by name, those after a name."""

    def count_scripts(self, tx: Any, workspace: WorkspaceId) -> int:
        """Return how many scripts a workspace has."""

    def insert_script(self, tx: Any, script: Script) -> None:
        """Record a new script.

        Raises:
            Conflict: when the name is taken.
        """

    def find_version(self, tx: Any, script: Script, number: str) -> Version:
        """Return a version by its number, its id, or the word `active`, as it stands in the database.

        Raises:
            NotFound: when there is none; the hint names those there are.
        """

    def list_versions(self, tx: Any, script: Script, *, before: str | None, limit: int) -> list[Version]:
        """Return versions without their schemas and examples, the newest first, those before an id."""

    def numbers(self, tx: Any, script: Script) -> list[str]:
        """Return the numbers of all versions of a script."""

    def insert_version(self, tx: Any, version: Version) -> None:
        """Record a new version.

        Raises:
            Conflict: when the script has one of that number.
        """

    def save_version(self, tx: Any, version: Version) -> None:
        """Record a draft's new content, or a version's new state."""

    def knows_code(self, tx: Any, version: Version) -> bool:
        """Return whether a version of the workspace has the same code."""

    def activate(self, tx: Any, script: Script, activation: Activation) -> None:
        """Point a script at a version, and keep that in its history."""

    def deactivate(self, tx: Any, script: Script) -> None:
        """Leave a script without an active version."""

    def activations(self, tx: Any, script: Script) -> list[Activation]:
        """Return the history of a script's active versions, oldest first."""

    def states(self, tx: Any, script: Script) -> Mapping[VersionId, VersionState]:
        """Return the state of every version of a script."""

    def insert_approval(self, tx: Any, approval: Approval) -> None:
        """Record that somebody asked for an approval."""

    def decide_approval(self, tx: Any, approval: Approval) -> None:
        """Record a decision."""

    def lapse_approvals(self, tx: Any, version: Version, *, now: float) -> None:
        """Close what waits for a decision about other content than a version now has."""

    def is_alone(self, tx: Any, workspace: WorkspaceId) -> bool:
        """Return whether a workspace has one member only."""

    def find_approval(self, tx: Any, workspace: WorkspaceId, approval: str) -> Approval:
        """Return an approval by its id.

        Raises:
            NotFound: when the workspace has none under that id.
        """

    def approvals_of(self, tx: Any, version: Version) -> list[Approval]:
        """Return all approvals ever asked for a version, the newest first."""

    def list_approvals(
        self, tx: Any, workspace: WorkspaceId, *, state: ApprovalState | None, before: str | None, limit: int
    ) -> list[Approval]:
        """Return approvals, the newest first, those before an id."""
