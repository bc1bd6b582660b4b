"""Every bound that Penstock keeps: its name, value, unit, why, the error it leads to, and the flag that raises it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound."""

    name: str
    value: int
    unit: str
    why: str
    code: str | None = None
    flag: str | None = None


WALL: Final = Limit("wall", 60, "s", "a chunk that waits must not hold its place for ever", "limit_wall", "--wall")
CPU: Final = Limit("cpu", 30, "s", "a loop without end costs its owner, not the machine", "limit_cpu", "--cpu")
MEMORY: Final = Limit("memory", 512, "MiB", "one script must not take the others' memory", "limit_memory", "--memory")
OUTPUT: Final = Limit(
    "output", 256, "MiB", "a chunk's output lies in memory until it is written", "limit_output", "--output-size"
)
RECURSION: Final = Limit("recursion", 1_000, "frames", "as Python has it", "limit_recursion", "--recursion")
CHUNK_RECORDS: Final = Limit(
    "chunk_records", 10_000, "records", "large enough that a fork is nothing, small enough to hold", None, "--chunk"
)
CHUNK_BYTES: Final = Limit("chunk_bytes", 16, "MiB", "memory stays flat whatever a record's size", "record_too_large")
CHUNK_RERUNS: Final = Limit(
    "chunk_reruns", 3, "times", "each costs a fresh child; then the chunk fails", "chunk_failed"
)
SCRIPT_BYTES: Final = Limit("script_bytes", 1, "MiB", "a script is code, not data", "script_rejected")
ERRORS_JUDGED_FROM: Final = Limit("errors_judged_from", 1_000, "records", "a share of fewer records says little")
ZYGOTE_START: Final = Limit(
    "zygote_start", 30, "s", "importing pyarrow on a busy machine takes seconds", "sandbox_unavailable"
)
CHILD_EXIT: Final = Limit("child_exit", 1, "s", "a child that stays after its reply holds a seat")
COMPILE: Final = Limit("compile", 10, "s", "compiling a script of a million bytes takes less", "script_rejected")
PRINTED_LINES: Final = Limit("printed_lines", 50, "lines", "print is for trying a script out, not for data")
CARRIER_MEMORY: Final = Limit("carrier_memory", 2_048, "MiB", "a Parquet row group is read whole", "input_unreadable")
SCRIPT_REPLY: Final = Limit("script_reply", 256, "KiB", "the account of a chunk is short", "reply_forged")
CARRIER_REPLY: Final = Limit("carrier_reply", 2_048, "KiB", "10,000 files of one record are a chunk", "reply_forged")
CAUSES: Final = Limit("causes", 200, "kinds", "a script may invent exceptions without end; later ones share a line")
WARM_RUNS: Final = Limit("warm_runs", 10_000, "runs", "what a script leaks in a reused child is bounded")
WARM_AGE: Final = Limit("warm_age", 300, "s", "what a script leaks in a reused child is bounded")
DATABASE_BUSY: Final = Limit(
    "database_busy", 10, "s", "another process writes for milliseconds, not seconds", "database_unavailable"
)
DATABASE_STATEMENT: Final = Limit(
    "database_statement",
    60,
    "s",
    "no statement of ours takes a second; what hangs must not hold locks",
    "database_unavailable",
)
SMALL_BLOB: Final = Limit("small_blob", 16, "KiB", "a file of its own costs more than the row it would save")
KEYS: Final = Limit("keys", 100, "keys a member", "what nobody can keep in view cannot be kept safe", "conflict")
KEY_USE_ROUNDED: Final = Limit("key_use_rounded", 600, "s", "a request is not worth a write to the database")
KEY_AGE: Final = Limit("key_age", 1, "s", "every request shows one; another process's revocation may wait that long")
LOGIN_KEY: Final = Limit("login_key", 90, "days", "a forgotten key must not open doors for ever", "not_logged_in")
MEMBERS: Final = Limit("members", 10_000, "members a workspace", "a team is smaller", "conflict")
MASTER_KEYS: Final = Limit("master_keys", 4, "keys", "one is in use, older ones for as long as it takes to rewrap")
SECRETS: Final = Limit("secrets", 1_000, "secrets a workspace", "all are encrypted anew in one go", "conflict")
SECRET_BYTES: Final = Limit("secret_bytes", 32, "KiB", "a secret is a key or a password, not data", "too_large")
EGRESS_ENTRIES: Final = Limit("egress_entries", 200, "entries", "each is looked at for each message", "request_invalid")
EGRESS_WAIT: Final = Limit(
    "egress_wait", 10, "s", "a receiver that is slow must not hold a place", "destination_unavailable"
)
SEAL_BATCH: Final = Limit("seal_batch", 250, "events", "5 ms at once: sealing shares the database with everybody else")
SEAL_ROUNDS: Final = Limit("seal_rounds", 40, "batches a tick", "10,000 events; the next tick goes on")
VERIFY_BATCH: Final = Limit(
    "verify_batch", 50_000, "events", "a second of reading and hashing; then somebody else's turn"
)
AUDIT_REFUSALS: Final = Limit(
    "audit_refusals", 10, "events a second", "who is refused all the time must not fill the disk"
)
LOGIN_RATE: Final = Limit("login_rate", 5, "a second", "nobody logs in so often; who guesses does", "too_many")
LOGIN_TOKEN: Final = Limit("login_token", 86_400, "s", "it may stand in a terminal or a chat", "not_logged_in")
QUOTA_AGE: Final = Limit("quota_age", 1, "s", "every submit asks; a new quota may wait that long")
RETRY_AFTER: Final = Limit("retry_after", 600, "s", "a drain rate says little about times further off", "too_many")
WHOLE_JOB: Final = Limit("whole_job", 4, "MiB", "a larger input is cut into chunks that several workers run at once")
WHOLE_UNFOLDED: Final = Limit(
    "whole_unfolded", 16, "MiB", "a small input that unfolds to more is cut into chunks as well"
)
PRIORITY: Final = Limit("priority", 100, "steps", "from -100 to 100 is enough to order by", "request_invalid")
ATTEMPTS: Final = Limit("attempts", 20, "tries", "what failed twenty times fails again", "request_invalid")
AHEAD: Final = Limit("ahead", 366, "days", "who asked has forgotten what waits for longer", "request_invalid")
LABELS: Final = Limit("labels", 16, "labels", "labels are for finding jobs, not for data", "request_invalid")
LABEL_LENGTH: Final = Limit("label_length", 64, "characters", "each is in an index", "request_invalid")
BACK_OFF_FIRST: Final = Limit("back_off_first", 1, "s", "most of what passes has passed by then")
BACK_OFF_MOST: Final = Limit("back_off_most", 300, "s", "a job must not sleep through the end of an outage")
OUTAGE_RETRY: Final = Limit("outage_retry", 5, "s", "an outage costs no attempt, so it is asked for often")
WEBHOOK_ATTEMPTS: Final = Limit("webhook_attempts", 12, "tries", "with back-off an hour; then it is given up")
REQUEST_BODY: Final = Limit("request_body", 4, "MiB", "a request that is not an upload is held in memory", "too_large")
REQUEST_HEAD: Final = Limit("request_head", 64, "KiB", "headers are kept before a key is looked at", "too_large")
HEAD_TIME: Final = Limit("head_time", 30, "s", "a connection that sends no request holds a descriptor")
READER_IDLE: Final = Limit("reader_idle", 30, "s", "who reads less than `body_rate` holds a request and its memory")
BODY_IDLE: Final = Limit("body_idle", 30, "s", "a sender that went silent holds a connection", "body_timeout")
BODY_RATE: Final = Limit("body_rate", 1_024, "bytes/s", "one that drips bytes holds it just as long", "body_timeout")
BODIES_ANONYMOUS: Final = Limit(
    "bodies_anonymous", 64, "requests", "bodies that one address sends slowly before it shows who it is", "too_many"
)
BODY_DRAIN: Final = Limit("body_drain", 5, "s", "what is still sent after a refusal is thrown away, for a while")
ENVELOPE: Final = Limit("envelope", 1, "MiB", "inline records are split off in memory; more is streamed", "too_large")
JSON_DEPTH: Final = Limit("json_depth", 64, "levels", "nesting without end costs whoever reads it", "request_invalid")
PREFER_WAIT: Final = Limit("prefer_wait", 30, "s", "proxies on the way give up on a request after a minute or so")
SCRIPTS: Final = Limit("scripts", 1_000, "scripts a workspace", "a list that people read", "too_many")
VERSIONS: Final = Limit("versions", 1_000, "versions a script", "a range is chosen from all of them", "too_many")
VERSION_ASKED: Final = Limit("version_asked", 100, "characters", "no range is longer", "request_invalid")
ARROW_CODE: Final = Limit(
    "arrow_code", 64, "KiB", "much code beside native libraries is worth a second look", "approval_needed"
)
SCHEMA: Final = Limit("schema", 64, "KiB", "a schema is compiled for every version zygote", "request_invalid")
EXAMPLES: Final = Limit("examples", 100, "examples a version", "publishing waits for all of them", "request_invalid")
EXAMPLES_BYTES: Final = Limit("examples_bytes", 1, "MiB", "examples show; they are not the data", "request_invalid")
TRY_RECORDS: Final = Limit("try_records", 1_000, "records", "somebody waits for the answer; more is a job", "too_large")
TRY_BYTES: Final = Limit("try_bytes", 1, "MiB", "somebody waits for the answer; more is a job", "too_large")
TRY_WALL: Final = Limit("try_wall", 20, "s", "somebody waits for the answer; more is a job", "limit_wall")
PUBLISH_WALL: Final = Limit("publish_wall", 60, "s", "all examples together", "examples_failed")
TRY_OUTPUT: Final = Limit("try_output", 8, "MiB", "the answer is held in memory", "limit_output")
TRIES: Final = Limit(
    "tries", 4, "at once", "each of another workspace; they run beside everybody's requests", "too_many"
)
BLOB_REQUEST: Final = Limit("blob_request", 30, "s", "8 MiB take less on any network worth using", "blobs_unavailable")
JOB_OUTPUT: Final = Limit("job_output", 16, "GiB", "a script can give without end, and an input unfold", "too_large")
ATTEMPT_ROOM: Final = Limit(
    "attempt_room",
    64,
    "MiB",
    "what was accepted is carried out though the workspace is full by now; beyond it, the quota holds",
    "too_large",
)
JOB_CHUNKS: Final = Limit(
    "job_chunks", 5_000, "chunks", "they enter the queue in one transaction of half a second", "too_large"
)
WATCHERS: Final = Limit("watchers", 500, "event streams", "each looks at its job twice a second", "too_many")
WATCHERS_WORKSPACE: Final = Limit(
    "watchers_workspace", 125, "event streams", "one workspace leaves some to the others", "too_many"
)
WAITERS_WORKSPACE: Final = Limit(
    "waiters_workspace", 250, "requests", "more with `Prefer: wait` are answered at once: others want to be served, too"
)
LEASE: Final = Limit("lease", 2, "s", "work of a killed worker is picked up within three seconds")
HEARTBEAT: Final = Limit("heartbeat", 500, "ms", "three may be late before a lease is lost")
REAP: Final = Limit("reap", 250, "ms", "expired leases are looked for that often")
KILLS_IN_A_ROW: Final = Limit("kills_in_a_row", 5, "runs", "a script that is killed each time costs everybody")
WORKER_SEEN: Final = Limit("worker_seen", 5, "s", "a worker that has not been heard of for ten heartbeats is gone")
WORKSPACE_RUNNING: Final = Limit("workspace_running", 64, "entries", "until a quota says otherwise")
LANE_RUNNING: Final = Limit(
    "lane_running", 10_000, "entries", "a script has its workspace's bound until it has its own"
)
QUEUE_DEBT: Final = Limit("queue_debt", 60, "s", "what was used while nobody else waited is not held against it longer")
QUEUE_CHANGES: Final = Limit("queue_changes", 256, "changes", "counters are added up even when no worker leases")
QUEUE_BATCH: Final = Limit("queue_batch", 2_000, "entries", "a tick shares the database with everybody else")
COUNTED_BEFORE: Final = Limit("counted_before", 1_000, "entries", "counting further would take longer than it tells")
READY_POLL: Final = Limit("ready_poll", 5, "ms", "how often SQLite is asked whether anything has changed")
READY_POLL_FAR: Final = Limit("ready_poll_far", 500, "ms", "how often PostgreSQL is asked, should a notice be lost")
PLAIN_LINES: Final = Limit("plain_lines", 4, "MiB", "plain NDJSON up to here is cut without a reader of its own")
OPEN_VERSIONS: Final = Limit("open_versions", 24, "versions", "each runner keeps processes of each parked")
OPEN_VERSIONS_MEMORY: Final = Limit("open_versions_memory", 512, "MiB", "arenas keep the pages of large outputs")
CLOCK_APART: Final = Limit(
    "clock_apart", 1, "s", "each host judges by its own clock what has expired", "setting_invalid"
)
DISK_FREE: Final = Limit("disk_free", 2_048, "MiB", "what a night writes fits, while somebody makes room")
DISK_FREE_SHARE: Final = Limit("disk_free_share", 5, "%", "a large disk fills by more a day than a small one")
CLOCK_LOOK: Final = Limit("clock_look", 60, "s", "a clock that agreed may have been set since")
KEEP_ALIVE: Final = Limit("keep_alive", 75, "s", "a connection that nobody uses holds a descriptor")
REQUESTS_RUNNING: Final = Limit(
    "requests_running", 1_000, "requests", "more would wait for threads longer than callers do", "server_unavailable"
)
REQUESTS_WORKSPACE: Final = Limit(
    "requests_workspace", 500, "requests", "slow ones of one workspace leave room for those of others", "too_many"
)
DRAIN: Final = Limit("drain", 30, "s", "what runs may finish before a server ends")
WORKER_FRAME: Final = Limit("worker_frame", 64, "MiB", "the report of all chunks of a job is a tenth of that")
RUNNER_SILENT: Final = Limit("runner_silent", 15, "s", "a runner that says nothing for so long is ended")
RUNNER_READY: Final = Limit("runner_ready", 60, "s", "the self-test takes seconds on a busy machine")
LEASED_AHEAD: Final = Limit("leased_ahead", 100, "ms", "work that is taken but not begun keeps other workers from it")
LEASE_BATCH: Final = Limit("lease_batch", 16, "entries", "enough that a transaction costs little for each")
KNOWN_SCRIPTS: Final = Limit("known_scripts", 256, "versions", "what a runner keeps of scripts, at most a MiB each")
LAKE_LEASE: Final = Limit("lake_lease", 15, "s", "a commit takes less; so long a killed one keeps others waiting")
LAKE_WAIT: Final = Limit("lake_wait", 60, "s", "a commit takes milliseconds to seconds", "table_busy")
LAKE_TRIES: Final = Limit(
    "lake_tries", 10, "tries", "a commit that lost to others ten times has a reason", "table_busy"
)
LAKE_REQUEST: Final = Limit("lake_request", 30, "s", "a request to the object store", "lake_unavailable")
LAKE_SNAPSHOTS: Final = Limit("lake_snapshots", 50, "snapshots a table", "each is read and written with every commit")
LAKE_KEPT: Final = Limit("lake_kept", 20, "snapshots a table", "so many publications can be rolled back to")
LAKE_MANIFESTS: Final = Limit("lake_manifests", 20, "manifests", "each is a file to open when a table is read")
LAKE_ORPHAN: Final = Limit("lake_orphan", 24, "h", "a reader may still have a file open that nothing refers to")
LAKE_FILES: Final = Limit("lake_files", 10_000, "files a commit", "each is looked into and listed", "too_large")
FOOTERS: Final = Limit("footers", 16, "MiB", "what files say of themselves is short", "file_refused")
LAKE_COLUMNS: Final = Limit("lake_columns", 2_000, "columns a table", "all stand in every manifest", "schema_refused")
COMPACT_FROM: Final = Limit("compact_from", 8, "files a partition", "rewriting fewer gains little")
COMPACT_SMALL: Final = Limit("compact_small", 32, "MiB", "a larger file is read at full speed already")
RECONCILE: Final = Limit("reconcile", 3_600, "s", "counters that drifted, by a bug, are right again within the hour")
SEAL: Final = Limit("seal", 1, "s", "an audit event is in its chain a second after it happened")
RETENTION: Final = Limit("retention", 30, "days", "results are fetched, not kept here; storage is shared")
TOMBSTONE: Final = Limit("tombstone", 30, "days", "a client that repeats a request after a removed job must not run it")
LEFTOVERS: Final = Limit("leftovers", 24, "h", "what an attempt or an upload left may still be somebody's until then")
RETENTION_TICK: Final = Limit("retention_tick", 5, "s", "a thousand jobs each time: many more than end meanwhile")
RETENTION_BATCH: Final = Limit("retention_batch", 200, "jobs", "removing shares the database with everybody else")
PIECES_BATCH: Final = Limit("pieces_batch", 1_000, "chunks", "a job may have 20,000, and others write too")
RETENTION_ROUNDS: Final = Limit("retention_rounds", 5, "batches a tick", "a thousand jobs; the next tick goes on")
SWEEP_BATCH: Final = Limit("sweep_batch", 1_000, "blobs", "one page of a listing of S3")
EVENT_STREAM: Final = Limit("event_stream", 600, "s", "a key that was ended must not listen for ever")
DATABASE_CONNECT: Final = Limit("database_connect", 20, "s", "a server that is there answers at once")
DATABASE_LOCK: Final = Limit("database_lock", 60, "s", "who reads a table that is replaced is waited for so long")
ALERT_WAIT: Final = Limit("alert_wait", 30, "s", "a receiver that is slow must not hold others up")
ALERT_ATTEMPTS: Final = Limit("alert_attempts", 16, "tries", "with back-off half an hour; then it is given up")
ALERT_BATCH: Final = Limit("alert_batch", 20, "alerts a tick", "each takes a second, some half a minute")
ALERT_TARGETS: Final = Limit("alert_targets", 50, "names a project", "who must be told is few", "project_invalid")
ALERT_TICK: Final = Limit("alert_tick", 2, "s", "somebody is told within seconds")
LATE_TICK: Final = Limit("late_tick", 15, "s", "so much later than its deadline a run is seen to be late")
INCIDENTS_KEPT: Final = Limit("incidents_kept", 90, "days", "who looks for a pattern looks at a quarter")
SUITE_BYTES: Final = Limit("suite_bytes", 1, "MiB", "a suite is rules, not data", "suite_invalid")
SUITE_EXPECTATIONS: Final = Limit(
    "suite_expectations", 1_000, "expectations", "each adds to one statement", "suite_invalid"
)
SET_VALUES: Final = Limit("set_values", 10_000, "values", "a longer list is a table of its own", "suite_invalid")
SET_PAIRS: Final = Limit("set_pairs", 1_000, "pairs", "planning 10,000 takes DuckDB ten seconds", "suite_invalid")
PATTERN: Final = Limit("pattern", 1_000, "characters", "a longer one nobody can read", "suite_invalid")
CONDITION: Final = Limit("condition", 2_000, "characters", "a longer one nobody can read", "suite_invalid")
CHECK_WALL: Final = Limit("check_wall", 600, "s", "a statement of checks that hangs must end")
SAMPLES: Final = Limit("samples", 20, "rows an expectation", "as Great Expectations has it")
ENGINE_WALL: Final = Limit("engine_wall", 3_600, "s", "a query without end must not hold its place", "limit_wall")
ENGINE_CPU: Final = Limit("engine_cpu", 7_200, "s", "two threads for an hour", "limit_cpu")
ENGINE_MEMORY: Final = Limit("engine_memory", 4_096, "MiB", "what does not fit is spilled to disk", "limit_memory")
ENGINE_DISK: Final = Limit("engine_disk", 65_536, "MiB", "a join gone wrong must not fill the disk", "limit_disk")
ENGINE_ANSWER: Final = Limit("engine_answer", 16, "MiB", "rows go into files; this is their account", "limit_output")
ENGINE_QUESTIONS: Final = Limit("engine_questions", 5_000, "questions", "a suite asks a few for each expectation")
ENGINE_FILES: Final = Limit("engine_files", 20_000, "files", "each is looked at while an engine runs", "limit_disk")
ENGINE_DEPTH: Final = Limit("engine_depth", 16, "folders", "a year of partitions needs three", "limit_disk")
ENGINE_THREADS: Final = Limit("engine_threads", 64, "threads", "an engine has a few beside those that work", "crashed")
ENGINE_LOOK: Final = Limit("engine_look", 50, "ms", "so long an engine may pass a bound before it is seen")
PROJECT_FILES: Final = Limit("project_files", 5_000, "files", "pipelines and code; data is elsewhere", "too_large")
PROJECT_BYTES: Final = Limit("project_bytes", 16, "MiB", "all files are held in memory together", "too_large")
PROJECT_PATH: Final = Limit("project_path", 240, "bytes", "as file systems have it", "request_invalid")
PROJECT_YAML: Final = Limit("project_yaml", 1, "MiB a file", "a pipeline is orders, not data", "yaml_invalid")
PROJECT_VALUES: Final = Limit(
    "project_values", 100_000, "values", "of all files in YAML; checking them takes a second", "project_invalid"
)
PROJECT_DEPTH: Final = Limit("project_depth", 50, "levels", "what is nested deeper nobody can read", "yaml_invalid")
PROJECT_ALIASES: Final = Limit("project_aliases", 100, "aliases a file", "each repeats a value", "yaml_invalid")
PROJECT_TASKS: Final = Limit("project_tasks", 2_000, "tasks", "each is checked with its neighbours", "project_invalid")
PROJECT_PROBLEMS: Final = Limit("project_problems", 100, "problems", "nobody corrects more before looking again")
TASK_AFTER: Final = Limit("task_after", 100, "tasks", "more are a task of their own that waits", "project_invalid")
CRON: Final = Limit("cron", 200, "characters", "five fields are shorter", "project_invalid")
QUERY_WALL: Final = Limit("query_wall", 300, "s", "somebody waits for the answer; more is a task", "limit_wall")
QUERIES: Final = Limit("queries", 4, "queries", "at once in one process of the API; each takes memory", "too_many")
QUERIES_WORKSPACE: Final = Limit(
    "queries_workspace",
    3,
    "queries",
    "of one workspace at once in one process; one place is left for others",
    "too_many",
)
QUERY_WAIT: Final = Limit("query_wait", 20, "s", "a query waits for a place; then who asks is told", "too_many")
QUERY_ROWS: Final = Limit("query_rows", 10_000, "rows", "an answer is held in memory; more is an export", None)
CONNECTION_TRIES: Final = Limit("connection_tries", 20, "times", "what fails so often fails for a reason", None)
CONNECTION_BACKOFF: Final = Limit("connection_backoff", 30, "s", "a wait that doubles must not become an hour")
CONNECTION_WAIT: Final = Limit(
    "connection_wait", 300, "s", "a task keeps its place while it waits; what takes longer comes back", "too_many"
)
SOURCE_REQUEST: Final = Limit(
    "source_request", 60, "s", "a source that drips must not hold a task", "destination_unavailable"
)
SOURCE_PAGE: Final = Limit("source_page", 32, "MiB", "a page lies in memory while it is parsed", "source_refused")
SOURCE_PAGES: Final = Limit("source_pages", 100_000, "pages a task", "a source may answer without end", "task_failed")
SOURCE_LISTED: Final = Limit("source_listed", 1_000_000, "objects", "each is looked at in every run", "task_failed")
SOURCE_FILES: Final = Limit("source_files", 10_000, "files a task", "the rest comes with the next run")
SOURCE_BYTES: Final = Limit("source_bytes", 65_536, "MiB a task", "it must fit on the disk of a worker", "task_failed")
SOURCE_TURNS: Final = Limit("source_turns", 5, "times", "as many runs may read one source at once", "needs_rerun")
SOURCE_RECORD: Final = Limit("source_record", 64, "KiB", "of a record that was rejected, so much is kept")

# ---- pipelines ----
LISTED: Final = Limit("listed", 1_000, "rows", "a list that nobody pages through stays one answer")
RUN_ITEMS: Final = Limit("run_items", 10_000, "items", "each is an attempt of its own", "task_failed")
RUN_RERUNS: Final = Limit("run_reruns", 20, "times", "a run whose tables others change again and again has a reason")
BACKFILL_DATES: Final = Limit("backfill_dates", 4_000, "dates", "ten years of days; each is a run", "request_invalid")
TASK_TIMEOUT: Final = Limit("task_timeout", 86_400, "s", "an attempt that hangs must not hold its place for ever")
TASK_KILLS: Final = Limit("task_kills", 3, "attempts", "a worker that dies costs no retry; a task that kills it does")
TASK_LOG_LINES: Final = Limit(
    "task_log_lines", 1_000, "lines an attempt", "a log is for people; later lines are counted"
)
TASK_TELL: Final = Limit("task_tell", 250, "ms", "what is watched need not be written more often than one can see")
BRANCH_KEPT: Final = Limit("branch_kept", 14, "days", "so long a run that failed can be resumed")
SCHEDULES_AT_ONCE: Final = Limit("schedules_at_once", 100, "schedules", "so many begin runs in one tick; others follow")
SCHEDULE_TICK: Final = Limit("schedule_tick", 1, "s", "a schedule has minutes; nobody waits for more than a second")
LOGS_KEPT: Final = Limit("logs_kept", 90, "days", "what tasks have said; the runs themselves stay")
UPKEEP_BATCH: Final = Limit("upkeep_batch", 100, "runs", "removed in one turn; the next turn goes on")
UPKEEP_TICK: Final = Limit("upkeep_tick", 3_600, "s", "what is left of runs is looked for so often")

ALL: Final[tuple[Limit, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Limit))
