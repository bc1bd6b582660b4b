"""Everything in one process: no server, no configuration."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from penstock.core.ports import Progress, TaskKind
from penstock.execution.context import Context
from penstock.sandbox.heavy import HeavySandbox
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.files import LocalFiles
from penstock.storage.memory_records import MemoryRecords
from penstock.tasks import KINDS


@dataclass(frozen=True, slots=True)
class Laptop:
    """Everything in one process: no server, no configuration."""

    sandbox: StrictSandbox
    files: LocalFiles
    records: MemoryRecords
    kinds: Mapping[str, TaskKind]
    engines: HeavySandbox = field(default_factory=HeavySandbox)

    def context(self, progress: Progress) -> Context:
        """Return what tasks may reach, with as many chunks at once as this process may use cores."""
        return Context(self.sandbox, self.files, progress, parallel=len(os.sched_getaffinity(0)))


@contextlib.contextmanager
def laptop() -> Iterator[Laptop]:
    """Put the parts together, and end every process they started."""
    with contextlib.closing(StrictSandbox()) as sandbox:
        yield Laptop(sandbox, LocalFiles(), MemoryRecords(), KINDS)
