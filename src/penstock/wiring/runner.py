"""What a worker's runner reaches: the sandbox, blobs, and the way out. No database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from penstock.access.egress import HttpEgress
from penstock.core.access import WorkspaceId
from penstock.core.ports import Blobs, PartFiles
from penstock.core.ports.access import Egress
from penstock.core.scripts import SandboxReport
from penstock.core.settings import Settings
from penstock.core.work import Assignment
from penstock.sandbox.open_versions import OpenVersions, PartSandbox
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.job_files import JobFiles
from penstock.wiring.stores import open_store


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """The parts of a runner."""

    blobs: Blobs
    versions: OpenVersions
    egress: Egress

    def report(self) -> SandboxReport:
        """Return what the self-test shows; the first time it takes a while."""
        return self.versions.sandbox.report()

    def sandbox(self, workspace: WorkspaceId) -> PartSandbox:
        """Return the sandbox of one part of a job."""
        return self.versions.for_part(workspace)

    def files(self, assignment: Assignment) -> PartFiles:
        """Return the files of one part of a job."""
        return JobFiles(self.blobs, assignment)


@contextlib.contextmanager
def open_runner(settings: Settings, *, threads: int) -> Iterator[RunnerParts]:
    """Put a runner's parts together, and end every process they started.

    Args:
        settings: what the worker was told.
        threads: how many parts run at once.
    """
    with contextlib.closing(OpenVersions(StrictSandbox(), seats=threads + 1)) as versions:
        yield RunnerParts(open_store(settings), versions, HttpEgress())
