"""Script versions that stay open between the jobs that use them, and one job's view of them.

To prepare a version costs some milliseconds, a run of a parked child less than one. So a version stays prepared until
others need the room. Versions are never shared between workspaces: a warm child remembers what it has seen.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import SandboxUnavailable
from penstock.core.ports import ChunkReader
from penstock.core.scripts import InputFile, Problem, SandboxReport, ScriptVersion
from penstock.sandbox.children import Children, Claim
from penstock.sandbox.meters import Meter
from penstock.sandbox.plain_lines import read_plain
from penstock.sandbox.strict import StrictReader, StrictSandbox, StrictScriptRunner

_Key = tuple[WorkspaceId, ScriptVersion]
_KEPT_BYTES_MAX: Final = limits.OPEN_VERSIONS_MEMORY.value * 2**20


@dataclass(slots=True)
class _Open:
    children: Children
    entry_point: str
    users: int = 0


class OpenVersions:
    """The script versions that are prepared now; safe to use from several threads.

    Args:
        sandbox: where they run; closed with this.
        seats: how many children of each version are parked or at work.
    """

    def __init__(self, sandbox: StrictSandbox, *, seats: int) -> None:
        self.sandbox = sandbox
        self._seats = seats
        self._lock = threading.Lock()
        self._open: OrderedDict[_Key, _Open] = OrderedDict()
        self._late: dict[WorkspaceId, float] = {}
        self._counting = threading.Lock()

    def for_part(self, workspace: WorkspaceId) -> PartSandbox:
        """Return the Sandbox of one part of a job."""
        return PartSandbox(self, workspace)

    @contextlib.contextmanager
    def use(self, workspace: WorkspaceId, script: ScriptVersion) -> Iterator[tuple[Children, str]]:
        """Give the children of a version while the context lasts, and the name of its function."""
        key = workspace, script
        version = self._take(key) or self._prepare(key)
        try:
            yield version.children, version.entry_point
        finally:
            self._give_back(version)

    def take_late(self) -> Mapping[WorkspaceId, float]:
        """Return the CPU seconds of workspaces that were found after their parts had ended, since this was asked."""
        with self._counting:
            late, self._late = self._late, {}
        return late

    def count_late(self, workspace: WorkspaceId, cpu_s: float) -> None:
        """Note CPU time of a part that has ended."""
        with self._counting:
            self._late[workspace] = self._late.get(workspace, 0.0) + cpu_s

    def close(self) -> None:
        """End every child and every zygote."""
        with self._lock:
            versions = list(self._open.values())
            self._open.clear()
        for version in versions:
            version.children.close()
        self.sandbox.close()

    def _take(self, key: _Key) -> _Open | None:
        with self._lock:
            version = self._open.get(key)
            if version is None:
                return None
            if not version.children.alive:
                del self._open[key]
                if version.users == 0:
                    version.children.close()
                return None
            self._open.move_to_end(key)
            version.users += 1
            return version

    def _prepare(self, key: _Key) -> _Open:
        """Open a version. Two threads may do so at once; then one of the two is closed again."""
        children, entry_point = self.sandbox.start_script(key[1], seats=self._seats)
        version = _Open(children, entry_point)
        if (there := self._take(key)) is not None:
            children.close()
            return there
        version.users = 1
        with self._lock:
            self._open[key] = version
        self._make_room()
        return version

    def _give_back(self, version: _Open) -> None:
        with self._lock:
            version.users -= 1
            gone = version.users == 0 and not any(version is kept for kept in self._open.values())
        if gone:
            version.children.close()
        elif version.children.kept_bytes > _KEPT_BYTES_MAX // limits.OPEN_VERSIONS.value:
            self._make_room()

    def _make_room(self) -> None:
        """Close what was not used for longest, until the rest fits."""
        with self._lock:
            kept_bytes = sum(version.children.kept_bytes for version in self._open.values())
            closing = []
            for key, version in list(self._open.items()):
                if len(self._open) <= limits.OPEN_VERSIONS.value and kept_bytes <= _KEPT_BYTES_MAX:
                    break
                if version.users == 0:
                    kept_bytes -= version.children.kept_bytes
                    closing.append(self._open.pop(key))
        for version in closing:
            version.children.close()


class PartSandbox:
    """The Sandbox of one part of a job: it can be stopped, and it knows what CPU time was used."""

    def __init__(self, versions: OpenVersions, workspace: WorkspaceId) -> None:
        self._versions = versions
        self._workspace = workspace
        self._lock = threading.Lock()
        self._stopped = False
        self._at_work: list[Claim | StrictReader] = []
        self._meter = Meter(functools.partial(versions.count_late, workspace))

    def take_cpu_s(self) -> float:
        """Return the CPU time that was used, once, at the end of the part; what is found later is told as late."""
        return self._meter.take()

    def records_done(self) -> int:
        """Return how many records scripts have done."""
        with self._lock:
            claims = [each for each in self._at_work if isinstance(each, Claim)]
        return sum(claim.records_done() for claim in claims)

    def report(self) -> SandboxReport:
        """Return what the live self-test shows on this machine."""
        return self._versions.sandbox.report()

    def check(self, script: ScriptVersion) -> list[Problem]:
        """Return what would keep the script from running."""
        return self._versions.sandbox.check(script)

    @contextlib.contextmanager
    def open_script(self, script: ScriptVersion, *, parallel: int) -> Iterator[StrictScriptRunner]:
        """Give a runner of a script version while the context lasts."""
        with self._versions.use(self._workspace, script) as (children, entry_point):
            claim = Claim(children, self._meter)
            self._note(claim)
            yield StrictScriptRunner(script, claim, entry_point)

    @contextlib.contextmanager
    def open_input(self, file: InputFile, *, chunk_records: int, as_arrow: bool) -> Iterator[ChunkReader]:
        """Open one input: plain NDJSON that is small is cut here, all else in a locked child."""
        if (plain := read_plain(file, chunk_records=chunk_records)) is not None:
            yield plain
            return
        sandbox, meter = self._versions.sandbox, self._meter
        with sandbox.open_input(file, chunk_records=chunk_records, as_arrow=as_arrow, meter=meter) as reader:
            self._note(reader)
            yield reader

    def convert(self, spool_fd: int, *, spool_format: str, to: str) -> Iterator[bytes]:
        """Yield the blocks of the spool's records in another format, made in a locked child."""
        sandbox, meter = self._versions.sandbox, self._meter
        for block in sandbox.convert(spool_fd, spool_format=spool_format, to=to, meter=meter):
            self._require_going()
            yield block

    def stop(self) -> None:
        """End what runs for this part, and let nothing more begin."""
        with self._lock:
            self._stopped = True
            at_work = list(self._at_work)
        for each in at_work:
            each.stop()

    def _note(self, each: Claim | StrictReader) -> None:
        with self._lock:
            self._require_going()
            self._at_work.append(each)

    def _require_going(self) -> None:
        if self._stopped:
            raise SandboxUnavailable("the work was stopped", hint="Run it again.")
