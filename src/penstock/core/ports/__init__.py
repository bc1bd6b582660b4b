"""The small Protocols through which the rooms reach the world. Adapters implement them; `wiring` chooses."""

from penstock.core.ports.scripts import ScriptRecords
from penstock.core.ports.service import (
    Audit,
    Blobs,
    BlobWriter,
    Clock,
    Database,
    JobRecords,
    Queue,
    QuotaKeeper,
    SmallBlobs,
    Transaction,
    WorkRecords,
)
from penstock.core.ports.tasks import (
    ChunkReader,
    Files,
    Output,
    PartFiles,
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
    "JobRecords",
    "Output",
    "PartFiles",
    "Progress",
    "Queue",
    "QuotaKeeper",
    "Records",
    "Sandbox",
    "ScriptRecords",
    "ScriptRunner",
    "SmallBlobs",
    "TaskContext",
    "TaskKind",
    "Transaction",
    "WorkRecords",
]
