"""Jobs: submit them, watch them, fetch what they gave."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal
from urllib.parse import quote

import orjson

from penstock.base.ids import new_id
from penstock.client.events import read_events
from penstock.client.records import read_records, record_lines
from penstock.client.transport import Transport
from penstock.core.errors import OutputFailed, RequestInvalid, ServerUnavailable, TransientError
from penstock.core.jobs import ENDED

_BLOCK_BYTES: Final = 256 * 1024
_INLINE_BYTES_MAX: Final = 512 * 1024
_POLL_FIRST_S: Final = 0.05
_POLL_MOST_S: Final = 2.0
_WATCH_SILENCE_S: Final = 45.0  # three heartbeats of the server
_WAIT_MAX_S: Final = 30
_TYPES: Final = {"ndjson": "application/x-ndjson", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
_ENDINGS: Final = {
    ".ndjson": ("ndjson", None),
    ".jsonl": ("ndjson", None),
    ".csv": ("csv", None),
    ".parquet": ("parquet", None),
    ".ndjson.gz": ("ndjson", "gzip"),
    ".jsonl.gz": ("ndjson", "gzip"),
    ".csv.gz": ("csv", "gzip"),
    ".ndjson.zst": ("ndjson", "zstd"),
    ".jsonl.zst": ("ndjson", "zstd"),
    ".csv.zst": ("csv", "zstd"),
    ".ndjson.br": ("ndjson", "br"),
    ".csv.br": ("csv", "br"),
}
Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where that is known


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as the server has shown it.

    Attributes:
        version: the exact version that what was asked for resolved to.
        counts: records, produced, dropped, failed, rows, chunks, chunks_done.
        waiting: why it waits: code, sentence, until, before_it.
        shown: everything that the server said.
    """

    id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    script: str
    version: str
    labels: Mapping[str, str]
    counts: Mapping[str, int | None]
    waiting: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    result_bytes: int | None
    dead_letters_bytes: int | None
    shown: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED


class Jobs:
    """The jobs of a workspace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def submit(
        self,
        script: str,
        records: Iterable[Mapping[str, Any]] | Path,
        *,
        version: str = "active",
        wait_s: float | None = None,
        idempotency_key: str | None = None,
        progress: Progress | None = None,
        labels: Mapping[str, str] | None = None,
        webhook: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Job:
        """Submit a job, and return it once the server has it for good.

        Args:
            script: name or id; a version may stand behind it, as in `clean@1.2.0`, in place of `version`.
            records: objects, or the path of a file, which is streamed: NDJSON, JSON, CSV or Parquet, as its name says.
            version: `active`, an exact version, or a range such as `^1.2`.
            wait_s: wait so long for its end, 30 seconds at most, and return it as it then stands.
            idempotency_key: makes the same job of the same request; by default each call has its own, so that it can
                be sent again after an outage.
            progress: is told what has been sent.
            labels: names and values.
            webhook: `url`, and `secret`, the name of the secret that signs.
            options: priority, not_before, deadline, attempts_max, output_format, errors_max, chunk_records, format.

        Raises:
            RequestInvalid: when records hold what JSON has no word for, such as NaN; two versions are named; or the
                server cannot take it.
        """
        script, version = _script_and_version(script, version)
        headers = {"Idempotency-Key": idempotency_key or new_id("idem")}
        if wait_s is not None:
            headers["Prefer"] = f"wait={min(int(wait_s + 0.999), _WAIT_MAX_S)}"
        asked = {"script": script, "version": version, **options}
        timeout_s = self._transport.timeout_s + min(wait_s or 0, _WAIT_MAX_S)
        if isinstance(records, Path):
            return self._submit_file(records, asked, labels, webhook, headers, progress, timeout_s)
        body = {**asked, "labels": labels or {}, "webhook": webhook}
        lines = record_lines(records)
        content = orjson.dumps(body)[:-1] + b',"input":[' + b",".join(lines) + b"]}"
        if len(content) <= _INLINE_BYTES_MAX:
            return self._send(content, {}, {**headers, "Content-Type": "application/json"}, timeout_s)
        query = _query(asked, labels, webhook)
        return self._send(b"\n".join(lines), query, {**headers, "Content-Type": _TYPES["ndjson"]}, timeout_s)

    def read(self, job_id: str) -> Job:
        """Return a job as it stands.

        Raises:
            NotFound: when the workspace has none under that id.
        """
        return _job(self._transport.request("GET", _path(job_id)))

    def list(
        self,
        *,
        state: str | None = None,
        script: str | None = None,
        labels: Mapping[str, str] | None = None,
        created_after: str | None = None,
        created_before: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Yield jobs, newest first, page after page.

        Args:
            state: such as `failed`.
            script: name or id.
            labels: all of them must fit.
            created_after: an ISO 8601 time with its zone.
            created_before: the same.
            limit: how many in all; None for all.
        """
        query = {
            "state": state,
            "script": script,
            "label": [f"{name}:{value}" for name, value in (labels or {}).items()],
            "created_after": created_after,
            "created_before": created_before,
        }
        return map(_job, self._transport.pages("/jobs", query=query, limit=limit))

    def attempts(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Yield the tries of a job that have ended."""
        return self._transport.pages(_path(job_id, "attempts"))

    def watch(self, job_id: str) -> Iterator[Job]:
        """Yield a job each time something about it changes; the last one has ended.

        Events are listened to; where they do not come through, the job is asked for now and then instead.
        """
        last_event, failures = "", 0
        while True:
            try:
                for event in self._events(job_id, last_event):
                    last_event, failures = event.id, 0
                    job = _job(orjson.loads(event.data))
                    yield job
                    if job.ended:
                        return
            except TransientError:
                pass
            failures += 1
            job = self.read(job_id)  # raises when the server stays away, or the job is gone
            if job.ended or failures > 1:
                yield job
            if job.ended:
                return
            time.sleep(min(_POLL_MOST_S, _POLL_FIRST_S * 2 ** min(failures, 10)))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return a job once it has ended, or as it stands when the time is up."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = _POLL_FIRST_S
        while True:
            job = self.read(job_id)
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if job.ended or (left_s is not None and left_s <= 0):
                return job
            time.sleep(pause_s if left_s is None else min(pause_s, left_s))
            pause_s = min(_POLL_MOST_S, pause_s * 1.5)

    def cancel(self, job_id: str) -> Job:
        """End a job."""
        return _job(self._transport.request("POST", _path(job_id, "cancel")))

    def retry(self, job_id: str, *, idempotency_key: str | None = None) -> Job:
        """Run a job that failed or was cancelled again, and return the new one; the same one for the same key."""
        headers = {"Idempotency-Key": idempotency_key or new_id("idem")}
        return _job(self._transport.request("POST", _path(job_id, "retry"), headers=headers))

    def replay(self, job_id: str, *, version: str = "active", idempotency_key: str | None = None) -> Job:
        """Run the dead letters of a job again, and return the new one; the same one for the same key."""
        path = _path(job_id, "dead-letters/replay")
        headers = {"Idempotency-Key": idempotency_key or new_id("idem")}
        return _job(self._transport.request("POST", path, query={"version": version}, headers=headers))

    def result(self, job_id: str, to: Path | BinaryIO, *, progress: Progress | None = None) -> int:
        """Write what a job gave, and return how many bytes that were.

        Args:
            job_id: of the job.
            to: a path, where the file appears whole or not at all; or a stream.
            progress: is told what has come.

        Raises:
            Conflict: when the job has no result, or none yet.
            OutputFailed: when it cannot be written, or what came is not what the server has.
        """
        return self._fetch(_path(job_id, "result"), to, progress)

    def dead_letters(self, job_id: str, to: Path | BinaryIO, *, progress: Progress | None = None) -> int:
        """Write the records of a job that failed, as NDJSON, and return how many bytes that were."""
        return self._fetch(_path(job_id, "dead-letters"), to, progress)

    def records(self, job_id: str) -> Sequence[dict[str, Any]]:
        """Return what a job gave as objects: for results that fit in memory, in NDJSON."""
        with self._transport.stream("GET", _path(job_id, "result")) as response:
            return read_records(b"".join(response.iter_bytes()))

    def _submit_file(
        self,
        path: Path,
        asked: dict[str, Any],
        labels: Mapping[str, str] | None,
        webhook: Mapping[str, str] | None,
        headers: dict[str, str],
        progress: Progress | None,
        timeout_s: float,
    ) -> Job:
        size_bytes = path.stat().st_size
        known = _ENDINGS.get("".join(path.suffixes[-2:]).lower()) or _ENDINGS.get(path.suffix.lower())
        query = _query({"name": path.name, **asked}, labels, webhook)
        if known is None or query.get("format") not in (None, known[0]):
            return self._submit_form(path, query, headers, progress, timeout_s)
        data_format, encoding = known
        query.pop("format", None)
        headers = {**headers, "Content-Type": _TYPES[data_format], "Content-Length": str(size_bytes)}
        if encoding:
            # The name keeps its ending without that of the compression, which the header says.
            headers["Content-Encoding"] = encoding
            query["name"] = path.name.rpartition(".")[0]
        return self._send(lambda: _blocks_of(path, size_bytes, progress), query, headers, timeout_s)

    def _submit_form(
        self, path: Path, query: dict[str, Any], headers: dict[str, str], progress: Progress | None, timeout_s: float
    ) -> Job:
        """Send a file whose type has no name of its own: a JSON document, an archive."""
        boundary, size_bytes = new_id("part"), path.stat().st_size
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="records"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()

        def body() -> Iterator[bytes]:
            yield head
            yield from _blocks_of(path, size_bytes, progress)
            yield tail

        more = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + size_bytes + len(tail)),
        }
        return self._send(body, query, {**headers, **more}, timeout_s)

    def _send(
        self,
        content: bytes | Callable[[], Iterable[bytes]],
        query: Mapping[str, Any],
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> Job:
        with self._transport.stream(
            "POST", "/jobs", query=query, content=content, headers=headers, timeout_s=timeout_s
        ) as response:
            return _job(orjson.loads(response.read()))

    def _events(self, job_id: str, last_event: str) -> Iterator[Any]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_event} if last_event else {})}
        with self._transport.stream(
            "GET", _path(job_id, "events"), headers=headers, timeout_s=_WATCH_SILENCE_S
        ) as response:
            yield from read_events(response.iter_bytes())

    def _fetch(self, path: str, to: Path | BinaryIO, progress: Progress | None) -> int:
        with self._transport.stream("GET", path) as response:
            size_bytes = int(response.headers["content-length"])
            sha256 = response.headers["etag"].strip('"')
            blocks = _counted(response.iter_bytes(_BLOCK_BYTES), size_bytes, progress)
            if isinstance(to, Path):
                return _write_whole(to, blocks, size_bytes, sha256)
            for block in blocks:
                to.write(block)
            return size_bytes


def _path(job_id: str, *more: str) -> str:
    # An id that holds a slash must not become another path: whoever passes ids on would ask for what they did not mean.
    return "/".join(["/jobs", quote(job_id, safe=""), *more])


def _blocks_of(path: Path, size_bytes: int, progress: Progress | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _counted(iter(lambda: file.read(_BLOCK_BYTES), b""), size_bytes, progress)


def _counted(blocks: Iterable[bytes], size_bytes: int, progress: Progress | None) -> Iterator[bytes]:
    done_bytes = 0
    for block in blocks:
        yield block
        done_bytes += len(block)
        if progress:
            progress(done_bytes, size_bytes)


def _write_whole(path: Path, blocks: Iterable[bytes], size_bytes: int, sha256: str) -> int:
    """Put bytes in their place once they are all there and are those that the server has."""
    digest, came_bytes = hashlib.sha256(), 0
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                for block in blocks:
                    digest.update(block)
                    came_bytes += len(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
                if digest.hexdigest() != sha256:
                    raise ServerUnavailable(
                        f"{came_bytes:,} of {size_bytes:,} bytes came, or others than the server has",
                        hint="Fetch it again.",
                    )
                os.chmod(file.name, 0o666 & ~_umask())
                Path(file.name).replace(path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file.name)
                raise
    except OSError as error:
        raise OutputFailed(
            f"{path} cannot be written: {error.strerror}", hint="Check the folder, its rights and its space."
        ) from error
    return came_bytes


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _script_and_version(script: str, version: str) -> tuple[str, str]:
    name, _, behind = script.partition("@")
    if behind and version not in ("active", behind):
        raise RequestInvalid(f"{script} names version {behind}, and version={version!r}", hint="Name one version.")
    return name, behind or version


def _query(
    asked: Mapping[str, Any], labels: Mapping[str, str] | None, webhook: Mapping[str, str] | None
) -> dict[str, Any]:
    query = dict(asked)
    if labels:
        query["label"] = [f"{name}:{value}" for name, value in labels.items()]
    if webhook:
        query |= {f"webhook_{name}": value for name, value in webhook.items()}
    return query


def _job(shown: Mapping[str, Any]) -> Job:
    return Job(
        id=shown["id"],
        state=shown["state"],
        script=shown["script"]["name"],
        version=shown["script"]["version"],
        labels=shown["options"]["labels"],
        counts=shown["progress"],
        waiting=shown["waiting"],
        error=shown["error"],
        result_bytes=shown["result"] and shown["result"]["size_bytes"],
        dead_letters_bytes=shown["dead_letters"] and shown["dead_letters"]["size_bytes"],
        shown=shown,
    )
