"""What wiring gives to the attempts of pipelines' tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.core.access import Destination
from penstock.core.errors import NotFound
from penstock.core.ports import Clock, Database, Lake, Sandbox
from penstock.core.ports.checks import Suites
from penstock.core.ports.engines import Engines
from penstock.core.ports.pipelines import RawReader
from penstock.core.ports.runs import AttemptRecords
from penstock.core.scripts import ScriptVersion


def _no_script(_workspace: str, name: str, wanted: str) -> ScriptVersion:
    raise NotFound(
        f"there is no registry here that has {name}@{wanted}",
        hint=f"Put the script into the project, as scripts/{name}.py, and say script: {name}.",
    )


@dataclass(frozen=True, slots=True)
class TaskParts:
    """The same for every attempt of a process.

    Attributes:
        connectors: by kind of connection.
        secret: from a workspace and a name to a secret; raises NotFound.
        resolve: from a workspace and a URL to where it leads, if it may be reached; raises EgressRefused.
        raw: gives what turns raw data into lines.
        clock: gives seconds since 1970.
        parallel: how many children of one attempt work at once.
        files_folder: where connections may read and write files; None where they may not.
        files_room: from a workspace to how many bytes its files may have together; None where nobody bounds them.
        script: from a workspace, a name and a version or range to a registered script version; raises NotFound.
    """

    database: Database
    records: AttemptRecords
    lake: Lake
    engines: Engines
    sandbox: Sandbox
    suites: Suites
    connectors: Mapping[str, Any]
    secret: Callable[[str, str], str]
    resolve: Callable[[str, str], Destination]
    raw: Callable[[], AbstractContextManager[RawReader]]
    clock: Clock
    parallel: int = 2
    files_folder: Path | None = None
    files_room: Callable[[str], int | None] = lambda _workspace: None
    script: Callable[[str, str, str], ScriptVersion] = _no_script
