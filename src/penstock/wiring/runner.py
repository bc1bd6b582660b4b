"""What a worker's runner reaches: the sandbox, blobs, and the way out. No database."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.access.egress import HttpEgress
from penstock.core.access import WorkspaceId
from penstock.core.ports import Blobs, PartFiles
from penstock.core.ports.access import Egress
from penstock.core.scripts import SandboxReport
from penstock.core.settings import Settings
from penstock.core.work import Assignment
from penstock.sandbox.heavy import HeavySandbox
from penstock.sandbox.open_versions import OpenVersions, PartSandbox
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.job_files import JobFiles
from penstock.wiring.stores import open_store

if TYPE_CHECKING:
    from penstock.execution.task_attempts import TaskAttempts

# Half a second of CPU time altogether for the lake, another for the rest; the smaller the pieces, the better.
_OF_TASKS: Final = (
    "pydantic",
    "sqlalchemy",
    "penstock.database.schema",
    "penstock.wiring.tasks",
    "penstock.execution.task_attempts",
    "penstock.checks.judging",
    "penstock.tasks.ingest",
    "penstock.tasks.table_script",
    "numpy",
    "pyarrow",
    "pyiceberg.manifest",
    "pyiceberg.table",
    "pyiceberg.catalog.sql",
    "penstock.storage.tables.writing",
    "penstock.storage.tables.publishing",
    "penstock.storage.tables.maintenance",
)


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """The parts of a runner."""

    blobs: Blobs
    versions: OpenVersions
    egress: Egress
    opened: OpenedTasks

    def report(self) -> SandboxReport:
        """Return what the self-test shows; the first time it takes a while."""
        return self.versions.sandbox.report()

    def sandbox(self, workspace: WorkspaceId) -> PartSandbox:
        """Return the sandbox of one part of a job."""
        return self.versions.for_part(workspace)

    def take_late(self) -> Mapping[WorkspaceId, float]:
        """Return the CPU seconds of workspaces that were found after their parts had ended, since this was asked."""
        return self.versions.take_late()

    def files(self, assignment: Assignment) -> PartFiles:
        """Return the files of one part of a job."""
        return JobFiles(self.blobs, assignment)

    def tasks(self) -> TaskAttempts:
        """Return what carries out tasks of pipelines; the first time it takes a while."""
        return self.opened.tasks()

    def load(self) -> Iterator[None]:
        """Load what tasks of pipelines need, piece by piece, so that the first of them does not wait for it."""
        for name in _OF_TASKS:
            importlib.import_module(name)
            yield
        HeavySandbox().report()  # known to all of the process from then on
        yield
        len(self.tasks().kinds)  # which loads them, and opens the database


class OpenedTasks:
    """What carries out tasks of pipelines, once somebody needs it: it has a database, and the lake."""

    def __init__(self, settings: Settings, strict: StrictSandbox) -> None:
        self._settings, self._strict = settings, strict
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._found: TaskAttempts | None = None

    def tasks(self) -> TaskAttempts:
        """Return it."""
        from penstock.wiring.tasks import open_task_attempts

        with self._lock:
            if self._found is None:
                self._found = self._stack.enter_context(open_task_attempts(self._settings, strict=self._strict))
            return self._found

    def close(self) -> None:
        """Close what was opened."""
        self._stack.close()


@contextlib.contextmanager
def open_runner(settings: Settings, *, threads: int) -> Iterator[RunnerParts]:
    """Put a runner's parts together, and end every process they started.

    Args:
        settings: what the worker was told.
        threads: how many parts run at once.
    """
    strict = StrictSandbox()
    with (
        contextlib.closing(OpenVersions(strict, seats=threads + 1)) as versions,
        contextlib.closing(OpenedTasks(settings, strict)) as opened,
    ):
        yield RunnerParts(open_store(settings), versions, HttpEgress(), opened)
