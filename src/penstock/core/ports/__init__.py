"""The small Protocols through which the rooms reach the world. Adapters implement them; `wiring` chooses."""

from penstock.core.ports.lake import Lake
from penstock.core.ports.projects import ConnectionKind, PipelineKind
from penstock.core.ports.retention import RetentionRecords
from penstock.core.ports.scripts import ScriptRecords
from penstock.core.ports.service import (
    Audit,
    Bells,
    Blobs,
    BlobWriter,
    Clock,
    Database,
    JobRecords,
    Queue,
    QuotaKeeper,
    SecretReader,
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
    "Bells",
    "BlobWriter",
    "Blobs",
    "ChunkReader",
    "Clock",
    "ConnectionKind",
    "Database",
    "Files",
    "JobRecords",
    "Lake",
    "Output",
    "PartFiles",
    "PipelineKind",
    "Progress",
    "Queue",
    "QuotaKeeper",
    "Records",
    "RetentionRecords",
    "Sandbox",
    "ScriptRecords",
    "ScriptRunner",
    "SecretReader",
    "SmallBlobs",
    "TaskContext",
    "TaskKind",
    "Transaction",
    "WorkRecords",
]
