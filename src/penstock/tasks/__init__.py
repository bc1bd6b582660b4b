"""Task kinds, one a file: the folder is the registry."""

from __future__ import annotations

from penstock.core.ports import TaskKind
from penstock.tasks.script import ScriptTask

KINDS: dict[str, TaskKind] = {"script": ScriptTask()}
