"""Blobs in S3, or in whatever speaks its protocol.

A blob is sent in parts while it is written and read in ranges, so that memory stays flat whatever its size, and every
single request has a time limit that does not depend on it. S3 shows an object whole or not at all. What a killed
process had begun to send stays invisible; a rule of the bucket should remove unfinished uploads after some days.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, BinaryIO, Final
from urllib.parse import SplitResult, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from penstock.core import limits
from penstock.core.errors import BlobsUnavailable, SettingInvalid
from penstock.core.jobs import BlobPointer
from penstock.storage.blobs.keys import check_key, check_prefix, missing

_BLOCK_BYTES: Final = 8 * 2**20  # a part and a range: S3 allows 10,000 parts of at least 5 MiB
_PARTS_AT_ONCE: Final = 2
_DELETE_AT_ONCE: Final = 1_000  # as many as one request of S3 takes
_CHECK: Final = ".penstock-check"  # no key begins with a dot
_CHECK_S: Final = 3.0  # somebody asks for the server's health
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3} [^:\n]+)")
_KIND: Final = re.compile(r"kind: (Timeout|Connect|Decode|Body)\b")
_KINDS: Final[Mapping[str, str]] = {
    "Timeout": "it does not answer in time",
    "Connect": "it cannot be reached",
    "Decode": "its answer ends too early",
    "Body": "its answer ends too early",
}


class S3Blobs:
    """Blobs in one bucket, under one prefix.

    Credentials and region come from the environment, as `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`,
    or from the machine's or the pod's role.

    Args:
        url: `s3://bucket/prefix`.
        endpoint: the service's own URL when it is not Amazon's; a plain `http://` one is for a trusted network.
        timeout_s: for one request, that of a whole part or range included.

    Raises:
        SettingInvalid: when the URL names no bucket.
    """

    def __init__(self, url: str, *, endpoint: str = "", timeout_s: float = limits.BLOB_REQUEST.value) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise SettingInvalid(
                f"PENSTOCK_BLOBS is {url!r}, which names no bucket", hint="Valid: a folder, or s3://bucket/prefix"
            )
        self._name = f"{url} at {endpoint}" if endpoint else url
        self._store = _open(parts, endpoint, timeout_s=timeout_s, retries_max=2)  # longer outages wait in the queue
        self._probe = _open(parts, endpoint, timeout_s=min(timeout_s, _CHECK_S), retries_max=0)

    def create(self, key: str) -> S3BlobWriter:
        """Begin a blob; the store is asked at the first full part, or at the end."""
        return S3BlobWriter(self, check_key(key))

    def put(self, key: str, data: bytes) -> BlobPointer:
        """Store bytes, durably."""
        with self.reporting():
            obstore.put(self._store, check_key(key), data, chunk_size=_BLOCK_BYTES, max_concurrency=_PARTS_AT_ONCE)
        return BlobPointer(key, len(data), hashlib.sha256(data).hexdigest())

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob in blocks; that there is none is said at once, not at the first block."""
        with self.reporting(check_key(key)):
            size_bytes = obstore.head(self._store, key)["size"]
        end = size_bytes if length is None else min(offset + length, size_bytes)
        return self._blocks(key, offset, end)

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Fetch a blob into a file without a name, and open that."""
        with tempfile.TemporaryFile(prefix="penstock-") as file:
            try:
                for block in self.stream(key):
                    file.write(block)
                file.seek(0)
            except OSError as error:
                raise BlobsUnavailable(
                    f"{key} cannot be fetched: {tempfile.gettempdir()}: {error.strerror}",
                    hint="Make room there, or let TMPDIR name another folder.",
                    retry_after_s=5,
                ) from error
            yield file

    def delete(self, keys: Iterable[str]) -> None:
        """Delete blobs, a thousand with each request."""
        checked = [check_key(key) for key in keys]
        for start in range(0, len(checked), _DELETE_AT_ONCE):
            with self.reporting():
                obstore.delete(self._store, checked[start : start + _DELETE_AT_ONCE])

    def list(self, prefix: str, *, changed_before: float | None = None) -> Iterator[BlobPointer]:
        """Yield what lies under a prefix."""
        pages = obstore.list(self._store, check_prefix(prefix).removesuffix("/") or None, chunk_size=1_000)
        while True:
            with self.reporting():
                page = next(pages, None)
            if page is None:
                return
            for item in page:
                recent = changed_before is not None and item["last_modified"].timestamp() >= changed_before
                if not recent and not item["path"].startswith("."):
                    yield BlobPointer(item["path"], item["size"], "")

    def check(self) -> None:
        """Raise BlobsUnavailable unless the store can be written to now."""
        with self.reporting():
            obstore.put(self._probe, _CHECK, b"")

    def open_writer(self, key: str) -> obstore.WritableFile:
        """Begin to send an object in parts."""
        return obstore.open_writer(self._store, key, buffer_size=_BLOCK_BYTES, max_concurrency=_PARTS_AT_ONCE)

    @contextlib.contextmanager
    def reporting(self, key: str | None = None) -> Iterator[None]:
        """Raise what the store raises as errors of ours; that there is no object is one only where a key is given."""
        try:
            yield
        except FileNotFoundError as error:
            # A HEAD has no body: whether the bucket or the object is not there is asked once more.
            if key is None or "NoSuchBucket" in str(error) or not self._has_bucket():
                raise self._unavailable(error) from error
            raise missing(key) from error
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    def _blocks(self, key: str, offset: int, end: int) -> Iterator[bytes]:
        while offset < end:
            with self.reporting(key):
                block = obstore.get_range(self._store, key, start=offset, end=min(offset + _BLOCK_BYTES, end))
            offset += len(block)
            yield bytes(block)

    def _has_bucket(self) -> bool:
        try:
            next(obstore.list(self._store, chunk_size=1), None)
        except (BaseError, OSError) as error:
            return "NoSuchBucket" not in str(error)
        return True

    def _unavailable(self, error: Exception) -> BlobsUnavailable:
        return BlobsUnavailable(
            f"the blob store {self._name} cannot be used now: {_reason(error)}",
            hint="Look at the store, its bucket, and the credentials; what waits goes on by itself afterwards.",
            retry_after_s=5,
        )


class S3BlobWriter:
    """A blob in the making: what has been sent cannot be seen before `commit`."""

    def __init__(self, blobs: S3Blobs, key: str) -> None:
        self.size_bytes = 0
        self._blobs = blobs
        self._key = key
        self._hash = hashlib.sha256()
        self._sending: obstore.WritableFile | None = blobs.open_writer(key)

    def write(self, data: bytes, /) -> None:
        """Append data; waits while two parts are on their way."""
        with self._blobs.reporting():
            assert self._sending is not None, "neither committed nor discarded"
            self._sending.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)

    def commit(self) -> BlobPointer:
        """Have the parts put together under the key."""
        with self._blobs.reporting():
            assert self._sending is not None, "neither committed nor discarded"
            self._sending.close()
        self._sending = None
        return BlobPointer(self._key, self.size_bytes, self._hash.hexdigest())

    def discard(self) -> None:
        """Drop it, unless it is committed: what is never completed is never an object."""
        self._sending = None


def _open(parts: SplitResult, endpoint: str, *, timeout_s: float, retries_max: int) -> S3Store:
    config: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=min(timeout_s, 3)),
            "timeout": timedelta(seconds=timeout_s),
        },
        retry_config={
            "max_retries": retries_max,
            "retry_timeout": timedelta(seconds=timeout_s),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
        },
        **config,
    )


def _reason(error: Exception) -> str:
    """Return the short reason in an error that also holds the whole exchange."""
    text = str(error)
    if found := _CODE.search(text):
        return found[1]
    if found := _STATUS.search(text):
        return found[1].strip()
    if found := _KIND.search(text):
        return _KINDS[found[1]]
    return type(error).__name__
