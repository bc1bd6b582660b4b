"""Registered scripts for tasks of pipelines: from a name and a version or range to what the sandbox runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from penstock.core.access import WorkspaceId
from penstock.core.errors import BlobsUnavailable
from penstock.core.ports import Blobs, Database, ScriptRecords
from penstock.core.scripts import ScriptVersion
from penstock.core.versions import check_runnable, script_version
from penstock.storage.script_records import SqlScriptRecords


def registered_scripts(database: Database, blobs: Blobs) -> Callable[[str, str, str], ScriptVersion]:
    """Return a function of a workspace, a script's name, and a version or range."""
    records: ScriptRecords = SqlScriptRecords()

    def find(workspace: str, name: str, wanted: str) -> ScriptVersion:
        with database.read() as tx:
            _, version = records.resolve(tx, WorkspaceId(workspace), name, wanted)
        check_runnable(version)
        code = b"".join(blobs.stream(version.code.key))
        if hashlib.sha256(code).hexdigest() != version.code.sha256:
            raise BlobsUnavailable(
                f"the code of {name}@{version.number} is damaged in the blob store",
                hint=f"Restore {version.code.key} from a backup, or push the script as a new version.",
            )
        return script_version(version, code)

    return find
