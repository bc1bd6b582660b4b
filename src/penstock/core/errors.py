"""Every error that Penstock raises on purpose, in one tree.

    PenstockError
    ├── UserError             what was asked for cannot be done; exit 2
    │   ├── InputNotFound     a path or pattern matches no file
    │   ├── InputUnreadable   an input is broken, or is not what its name says
    │   ├── ScriptNotFound
    │   ├── ScriptRejected    the script cannot run; every problem with line and column
    │   ├── ScriptFailed      the script's own top level failed, or it hit a limit there
    │   ├── TooManyErrors     more records failed than allowed; there is no output
    │   ├── OutputFailed      the output could not be written; nothing appeared in its place
    │   ├── WebhookRefused    the receiver of a webhook answered that it does not take it
    │   ├── AlertRefused      an alert's URL is not understood, or its receiver does not take it
    │   ├── SandboxUnsafe     this machine cannot run scripts safely; they are refused
    │   ├── UsageError        an argument is not valid
    │   ├── NotFound          nothing under that id or name in this workspace
    │   │   └── SnapshotGone      a snapshot of a table has expired, or never was
    │   ├── BlobNotFound      bytes that are pointed to are not there any more
    │   ├── Conflict          what is asked for does not fit what is there
    │   │   ├── VersionRevoked    nothing may run on that version any more
    │   │   ├── TableOwned        another task writes that table
    │   │   ├── StillHeld         a worker that may have ended holds something of a run
    │   │   └── ApprovalNeeded    a second person must agree first
    │   ├── RequestInvalid    a request, or a value in it, is not valid
    │   │   ├── ExamplesFailed    a version does not do what its own examples say
    │   │   └── SchemaRefused     columns do not fit those of the table
    │   ├── FileRefused       a file is not one that a table can take
    │   ├── RowsOutside       rows lie outside the partitions that are written
    │   ├── TableUnreadable   another program wrote the table in a way that cannot be read safely
    │   ├── TooLarge          a request is larger than allowed
    │   ├── NotLoggedIn       there is no valid API key
    │   │   └── KeyEnded      a genuine one that has expired or was revoked
    │   ├── NotAllowed        the role or the key's scopes do not allow it
    │   ├── SchemaUnknown     the database is of another version of Penstock
    │   ├── SettingInvalid    a setting is missing or not valid
    │   ├── EgressRefused     an address that the workspace's work may not reach
    │   ├── SecretUnreadable  a secret cannot be decrypted
    │   ├── ProjectInvalid    the files of a project do not make one; every problem with its place
    │   ├── TaskFailed        a task of a pipeline could not do what it is for
    │   │   ├── CheckFailed       a table is not as a suite expects it, and the suite blocks
    │   │   └── SourceRefused     what a connection leads to answered that it will not, or what makes no sense
    │   └── Stopped           a run was cancelled, or a task's time was up
    ├── TransientError        may work when tried again; exit 75
    │   ├── SandboxUnavailable
    │   ├── TooMany           a quota is used up or a queue is full; says when to come back
    │   ├── DatabaseUnavailable
    │   ├── BlobsUnavailable
    │   ├── LakeUnavailable
    │   ├── TableBusy         others keep a table's lease
    │   ├── NeedsRerun        a table that the result depends on has changed meanwhile
    │   ├── SpoolFull         a worker's disk has no room for what a job puts aside
    │   ├── ServerUnavailable the server cannot be reached
    │   ├── DestinationUnavailable  an address outside cannot be reached now
    │   ├── LeaseExpired      an attempt may be somebody else's by now
    │   └── ConnectionResting a connection has failed too often in a row, and is left alone for a while
    └── Bug                   Penstock's own fault; exit 70

An error says what happened and with which value, where, what would be valid, and what to do. It never holds a row's
values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.core.access import Actor
    from penstock.core.processing import ScriptReport
    from penstock.core.projects import ProjectProblem
    from penstock.core.scripts import Problem


class PenstockError(Exception):
    """An error with words for the person who meets it.

    Attributes:
        code: stable name; its page is `docs/errors/<code>.md`.
        message: what happened, with the value received and the place.
        hint: what to do, in the imperative.
    """

    code: ClassVar[str]
    exit_code: ClassVar[int]

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(PenstockError):
    """What was asked for cannot be done as it was asked."""

    exit_code = 2


class InputNotFound(UserError):
    """A path or pattern matches no file."""

    code = "input_not_found"


class InputUnreadable(UserError):
    """An input is broken, or is not what its name says."""

    code = "input_unreadable"


class ScriptNotFound(UserError):
    """There is no script at the path."""

    code = "script_not_found"


class ScriptRejected(UserError):
    """The script cannot run.

    Attributes:
        problems: one dict each with code, message, script_line, column, hint.
    """

    code = "script_rejected"

    def __init__(self, message: str, *, hint: str, problems: list[Problem]) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class ScriptFailed(UserError):
    """The script's own top level raised, or hit a limit, so that no record could be given to it."""

    code = "script_failed"


class TooManyErrors(UserError):
    """More records failed than the run allows; there is no output, and the dead letters are kept."""

    code = "too_many_errors"

    def __init__(self, message: str, *, hint: str, report: ScriptReport) -> None:
        super().__init__(message, hint=hint)
        self.report = report


class OutputFailed(UserError):
    """The output could not be written; what stood in its place before still stands."""

    code = "output_failed"


class WebhookRefused(UserError):
    """The receiver of a webhook answered with something else than success."""

    code = "webhook_refused"


class AlertRefused(UserError):
    """An alert's URL is not understood, or its receiver does not take it."""

    code = "alert_refused"


class SandboxUnsafe(UserError):
    """The self-test found that a forbidden act works here, so scripts are refused."""

    code = "sandbox_unsafe"


class UsageError(UserError):
    """An argument is not valid."""

    code = "usage"


class NotFound(UserError):
    """There is nothing under that id or name in this workspace."""

    code = "not_found"


class BlobNotFound(UserError):
    """There are no bytes under the key; somebody has deleted them."""

    code = "blob_not_found"


class Conflict(UserError):
    """What is asked for does not fit what is there."""

    code = "conflict"


class VersionRevoked(Conflict):
    """A script version is revoked: nothing may start on it any more."""

    code = "version_revoked"


class StillHeld(Conflict):
    """A worker that may have ended holds an attempt of a run still; its lease is about to expire."""

    code = "still_held"


class ApprovalNeeded(Conflict):
    """A script version asks for more than the default, and nobody has approved that yet."""

    code = "approval_needed"


class RequestInvalid(UserError):
    """A request, or a value in it, is not valid.

    Attributes:
        problems: one dict each with `place` (such as `body.options.priority`), `message`.
    """

    code = "request_invalid"

    def __init__(self, message: str, *, hint: str, problems: list[dict[str, str]] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems or []


class ExamplesFailed(RequestInvalid):
    """A script version does not do what its examples say; the problems show each difference to its owner."""

    code = "examples_failed"


class TooLarge(UserError):
    """A request is larger than the limit that the message names."""

    code = "too_large"


class NotLoggedIn(UserError):
    """There is no API key, or it is not valid any more."""

    code = "not_logged_in"


class KeyEnded(NotLoggedIn):
    """A genuine API key that has expired or was revoked.

    Attributes:
        actor: whose it was, without any permission.
    """

    def __init__(self, message: str, *, hint: str, actor: Actor) -> None:
        super().__init__(message, hint=hint)
        self.actor = actor


class NotAllowed(UserError):
    """The member's role, or the scopes of the key, do not allow it."""

    code = "not_allowed"


class SchemaUnknown(UserError):
    """The database's schema is not the one that this version of Penstock works with."""

    code = "schema_unknown"


class SettingInvalid(UserError):
    """A setting is missing, or its value is not valid."""

    code = "setting_invalid"


class EgressRefused(UserError):
    """The address is not one that the workspace's work may reach."""

    code = "egress_refused"


class SecretUnreadable(UserError):
    """A secret cannot be decrypted: it was changed, or its master key is not known."""

    code = "secret_unreadable"


class SchemaRefused(RequestInvalid):
    """The columns of what is to be written do not fit those of the table; the problems name each."""

    code = "schema_refused"


class FileRefused(UserError):
    """A file is not one that a table can take."""

    code = "file_refused"


class RowsOutside(UserError):
    """Rows lie outside the partitions that the task says it writes."""

    code = "rows_outside"


class TableOwned(Conflict):
    """Another task writes this table."""

    code = "table_owned"


class TableUnreadable(UserError):
    """A table was written by another program in a way that cannot be read by files without being wrong."""

    code = "table_unreadable"


class SnapshotGone(NotFound):
    """A snapshot has expired, or never was."""

    code = "snapshot_gone"


class ProjectInvalid(UserError):
    """The files of a project do not make one.

    Attributes:
        problems: every one of them, in the order of files and lines.
    """

    code = "project_invalid"

    def __init__(self, problems: list[ProjectProblem]) -> None:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        super().__init__(f"{problems[0].place}: {problems[0].message}{more}", hint=problems[0].hint)
        self.problems = problems


class TaskFailed(UserError):
    """A task of a pipeline could not do what it is for; to try it again as it is helps only after a change.

    Attributes:
        figures: what is known besides, for `penstock logs` and the API; never a value of a row.
    """

    code = "task_failed"

    def __init__(self, message: str, *, hint: str, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.figures = dict(figures or {})


class CheckFailed(TaskFailed):
    """A table is not as a suite expects it, and the suite blocks."""

    code = "check_failed"


class SourceRefused(TaskFailed):
    """What a connection leads to has answered that it will not do it, or with what makes no sense."""

    code = "source_refused"


class Stopped(UserError):
    """A run was cancelled, or a task's time was up."""

    code = "stopped"


class TransientError(PenstockError):
    """The same request may work when tried again.

    Attributes:
        retry_after_s: when to try again, where that is known.
    """

    exit_code = 75

    def __init__(self, message: str, *, hint: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class SandboxUnavailable(TransientError):
    """A zygote did not start or went away."""

    code = "sandbox_unavailable"


class TooMany(TransientError):
    """A quota is used up, or a queue is full."""

    code = "too_many"


class DatabaseUnavailable(TransientError):
    """The records database cannot be reached, is full or stays busy; nothing was recorded."""

    code = "database_unavailable"


class BlobsUnavailable(TransientError):
    """The blob store cannot be reached or is full."""

    code = "blobs_unavailable"


class LakeUnavailable(TransientError):
    """The catalog or the files of the lake cannot be reached."""

    code = "lake_unavailable"


class TableBusy(TransientError):
    """Others have kept a table's lease for too long."""

    code = "table_busy"


class NeedsRerun(TransientError):
    """A table has changed since the task read it, in a way that its result depends on.

    Attributes:
        tables: those that changed: what writes them is to be done again.
        inputs: those that changed, too, and stand on what is published now: what reads them is to be done again.
    """

    code = "needs_rerun"

    def __init__(self, message: str, *, hint: str, tables: tuple[str, ...] = (), inputs: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.tables = tables
        self.inputs = inputs


class SpoolFull(TransientError):
    """A worker's disk has no room for what a job or a task puts aside while it runs."""

    code = "spool_full"


class ServerUnavailable(TransientError):
    """The server cannot be reached, or did not answer in time."""

    code = "server_unavailable"


class DestinationUnavailable(TransientError):
    """An address outside cannot be reached, or did not answer in time."""

    code = "destination_unavailable"


class LeaseExpired(TransientError):
    """An attempt may be somebody else's by now."""

    code = "lease_expired"


class ConnectionResting(TransientError):
    """A connection has failed too often in a row, and nobody calls it for a while."""

    code = "connection_resting"


class Bug(PenstockError):
    """Penstock's own fault."""

    code = "bug"
    exit_code = 70
