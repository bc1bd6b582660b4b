"""The small Protocols through which the rooms reach the world. Adapters implement them; `wiring` chooses."""

from penstock.core.ports.service import (
    Audit,
    Blobs,
    BlobWriter,
    Clock,
    Database,
    Queue,
    Transaction,
)
from penstock.core.ports.tasks import (
    ChunkReader,
    Files,
    Output,
    Progress,
    Records,
    Sandbox,
    ScriptRunner,
    TaskContext,
    TaskKind,
)

__all__ = [
    "Audit",
    "BlobWriter",
    "Blobs",
    "ChunkReader",
    "Clock",
    "Database",
    "Files",
    "Output",
    "Progress",
    "Queue",
    "Records",
    "Sandbox",
    "ScriptRunner",
    "TaskContext",
    "TaskKind",
    "Transaction",
]
