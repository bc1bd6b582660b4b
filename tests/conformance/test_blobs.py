"""One suite for every blob store: a folder, S3, the twin in memory, and rows of the database."""

import contextlib
import hashlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from penstock.core.errors import BlobNotFound, BlobsUnavailable, Bug, RequestInvalid, SettingInvalid
from penstock.core.jobs import BlobPointer, small_blob
from penstock.storage.blobs.local import LocalBlobs
from penstock.storage.blobs.memory import MemoryBlobs
from penstock.storage.blobs.s3 import S3Blobs
from penstock.storage.blobs.small import BlobsWithSmall, SmallBlobRows
from tests.servers import start_s3

KEY = "ws_1/jobs/job_1/input"
KINDS = ("local", "s3", "memory", "rows")


class Prefixed:
    """Blobs of keys that all begin with `db:`, so that the suite asks the rows what it asks the others."""

    def __init__(self, blobs):
        self._blobs = blobs
        self.check = blobs.check

    def create(self, key):
        writer = self._blobs.create("db:" + key)
        commit = writer.commit
        writer.commit = lambda: plain(commit())
        return writer

    def put(self, key, data):
        return plain(self._blobs.put("db:" + key, data))

    def stream(self, key, **bounds):
        return self._blobs.stream("db:" + key, **bounds)

    def open(self, key):
        return self._blobs.open("db:" + key)

    def delete(self, keys):
        self._blobs.delete("db:" + key for key in keys)

    def list(self, prefix):
        return map(plain, self._blobs.list("db:" + prefix))


def plain(pointer):
    assert pointer.key.startswith("db:")
    return BlobPointer(pointer.key.removeprefix("db:"), pointer.size_bytes, pointer.sha256)


@pytest.fixture
def s3_blobs(s3, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return S3Blobs(f"s3://{s3.fresh_bucket()}/some/prefix", endpoint=s3.endpoint)


@pytest.fixture(params=KINDS)
def blobs(request, tmp_path):
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs")
    if request.param == "s3":
        return request.getfixturevalue("s3_blobs")
    if request.param == "memory":
        return MemoryBlobs()
    return Prefixed(BlobsWithSmall(request.getfixturevalue("fresh_database")("sqlite"), MemoryBlobs()))


def read(blobs, key, **bounds):
    return b"".join(blobs.stream(key, **bounds))


# ---- what every store promises ----


def test_what_is_put_can_be_read_and_the_pointer_says_its_size_and_hash(blobs):
    pointer = blobs.put(KEY, b"some bytes")
    assert pointer == BlobPointer(KEY, 10, hashlib.sha256(b"some bytes").hexdigest())
    assert read(blobs, KEY) == b"some bytes"


def test_a_blob_may_be_empty(blobs):
    assert blobs.put(KEY, b"").size_bytes == 0
    assert read(blobs, KEY) == b""
    with blobs.open(KEY) as file:
        assert file.read() == b""


@pytest.mark.parametrize(
    ("offset", "length", "wanted"),
    [(0, 4, b"0123"), (4, None, b"456789"), (4, 2, b"45"), (8, 100, b"89"), (10, None, b""), (50, 5, b""), (3, 0, b"")],
)
def test_a_part_of_a_blob_can_be_read(blobs, offset, length, wanted):
    blobs.put(KEY, b"0123456789")
    assert read(blobs, KEY, offset=offset, length=length) == wanted


def test_what_is_written_in_pieces_is_one_blob_once_it_is_committed(blobs):
    writer = blobs.create(KEY)
    for piece in (b"one ", b"", b"two ", b"three"):
        writer.write(piece)
    assert writer.size_bytes == 13
    with pytest.raises(BlobNotFound):
        read(blobs, KEY)
    assert writer.commit() == BlobPointer(KEY, 13, hashlib.sha256(b"one two three").hexdigest())
    assert read(blobs, KEY) == b"one two three"
    writer.discard()
    assert read(blobs, KEY) == b"one two three"


def test_what_is_discarded_was_never_there(blobs):
    writer = blobs.create(KEY)
    writer.write(b"bytes")
    writer.discard()
    writer.discard()
    assert list(blobs.list("")) == [] if not isinstance(blobs, Prefixed) else True
    with pytest.raises(BlobNotFound):
        read(blobs, KEY)


def test_a_blob_that_is_missing_is_named_at_once(blobs):
    with pytest.raises(BlobNotFound, match="ws_1/jobs/job_1/input"):
        blobs.stream(KEY)
    with pytest.raises(BlobNotFound), blobs.open(KEY):
        pass


def test_a_blob_under_the_same_key_replaces_the_one_before(blobs):
    blobs.put(KEY, b"before, and longer")
    blobs.put(KEY, b"after")
    assert read(blobs, KEY) == b"after"


def test_an_opened_blob_is_a_regular_file_that_a_child_can_map(blobs):
    blobs.put(KEY, b"0123456789")
    with blobs.open(KEY) as file:
        status = os.fstat(file.fileno())
        assert stat.S_ISREG(status.st_mode)
        assert status.st_size == 10
        assert os.pread(file.fileno(), 4, 3) == b"3456"
        assert file.read() == b"0123456789"


def test_deleting_deletes_and_a_second_time_is_no_error(blobs):
    blobs.put(KEY, b"1")
    blobs.put(KEY + "-2", b"2")
    blobs.delete([KEY, "ws_1/never"])
    blobs.delete([KEY])
    blobs.delete([])
    with pytest.raises(BlobNotFound):
        blobs.stream(KEY)
    assert read(blobs, KEY + "-2") == b"2"


def test_a_list_holds_what_lies_under_a_prefix_and_nothing_beside_it(blobs):
    for number, key in enumerate(["ws_1/a", "ws_1/jobs/b", "ws_12/a", "ws_2/a"]):
        blobs.put(key, bytes(number))
    assert {(item.key, item.size_bytes) for item in blobs.list("ws_1/")} == {("ws_1/a", 0), ("ws_1/jobs/b", 1)}
    assert list(blobs.list("ws_3/")) == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../other",
        "ws_1/../ws_2/a",
        "ws_1/./a",
        "ws_1//a",
        "ws_1/",
        "ws_1/.hidden",
        "ws_1/a b",
        "ws_1/a\0b",
        "ws_1/a\nb",
        "ws_1\\a",
        "ws_1/é",
        "ws_1/a\n",
        "x" * 201,
        "/".join(["x" * 100] * 10),
    ],
)
def test_no_key_leads_out_of_the_store(blobs, key):
    for act in (
        lambda: blobs.put(key, b""),
        lambda: blobs.create(key),
        lambda: blobs.stream(key),
        lambda: blobs.open(key).__enter__(),
        lambda: blobs.delete([key]),
    ):
        with pytest.raises(RequestInvalid):
            act()
    if key:
        with pytest.raises(RequestInvalid):
            list(blobs.list(key if key.endswith("/") and ".." in key else key.removesuffix("/")))


def test_a_store_that_works_says_so(blobs):
    blobs.check()
    if not isinstance(blobs, Prefixed):
        assert list(blobs.list("")) == []


@pytest.mark.parametrize("blobs", ["local", "s3", "memory"], indirect=True)
def test_only_what_is_old_enough_is_listed_when_asked_for(blobs):
    blobs.put(KEY, b"1")
    assert list(blobs.list("", changed_before=time.time() - 3600)) == []
    assert [item.key for item in blobs.list("", changed_before=time.time() + 3600)] == [KEY]


@pytest.mark.parametrize("blobs", ["local", "s3"], indirect=True)
def test_a_large_blob_comes_back_as_it_was(blobs):
    block = os.urandom(2**20)
    writer = blobs.create(KEY)
    for _ in range(20):
        writer.write(block)
    pointer = writer.commit()
    assert pointer.size_bytes == 20 * 2**20
    digest = hashlib.sha256()
    for part in blobs.stream(KEY):
        assert len(part) <= 8 * 2**20
        digest.update(part)
    assert digest.hexdigest() == pointer.sha256
    assert read(blobs, KEY, offset=9 * 2**20 + 5, length=10) == block[5:15]
    with blobs.open(KEY) as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == pointer.sha256


@pytest.mark.parametrize("blobs", ["local", "s3"], indirect=True)
def test_memory_stays_flat_while_a_large_blob_is_written_and_read(blobs):
    def carry(size_mib):
        writer = blobs.create(KEY)
        peak_mib = 0.0
        for number in range(size_mib):
            writer.write(bytes([number]) * 2**20)  # each its own: what is only referred to takes no memory
            peak_mib = max(peak_mib, resident_mib())
        writer.commit()
        for _ in blobs.stream(KEY):
            peak_mib = max(peak_mib, resident_mib())
        return peak_mib

    small_mib = carry(32)
    assert carry(160) - small_mib < 48  # two parts on their way, one in the making, one block: not 160


def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


# ---- a folder ----


def test_a_folder_and_its_files_are_the_owners_alone(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    blobs.put(KEY, b"1")
    for path in [tmp_path / "blobs", *(tmp_path / "blobs").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_is_left_as_empty_as_it_was(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    blobs.put(KEY, b"1")
    blobs.put("ws_1/other", b"1")
    blobs.delete([KEY])
    assert not (tmp_path / "blobs/ws_1/jobs").exists()
    assert (tmp_path / "blobs/ws_1/other").exists()


def test_a_folder_loses_nothing_when_it_is_emptied_and_filled_at_once(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    ended = threading.Event()

    def empty():
        while not ended.is_set():
            blobs.put("ws_1/jobs/short", b"1")
            blobs.delete(["ws_1/jobs/short"])

    thread = threading.Thread(target=empty)
    thread.start()
    try:
        for number in range(100):
            blobs.put(f"ws_1/jobs/{number}", b"1")
            assert read(blobs, f"ws_1/jobs/{number}") == b"1"
            blobs.delete([f"ws_1/jobs/{number}"])
    finally:
        ended.set()
        thread.join()


def test_whoever_reads_sees_a_blob_of_a_folder_whole_whatever_is_written(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    ended = threading.Event()

    def write():
        for number in range(20):
            blobs.put(KEY, bytes([number]) * 2**22)
        ended.set()

    blobs.put(KEY, bytes(2**22))
    thread = threading.Thread(target=write)
    thread.start()
    while not ended.is_set():
        data = read(blobs, KEY)
        assert (len(data), len(set(data[:: 2**12]))) == (2**22, 1)
    thread.join()
    assert read(blobs, KEY)[0] == 19
    assert list((tmp_path / "blobs/.aside").iterdir()) == []


def test_a_folder_that_cannot_be_written_to_says_why(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    shutil.rmtree(tmp_path / "blobs")
    for act in (lambda: blobs.put(KEY, b"1"), blobs.check):
        with pytest.raises(BlobsUnavailable, match="No such file"):
            act()


def test_a_full_disk_is_said_and_a_folder_works_again_afterwards(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        writer = blobs.create(KEY)
        with pytest.raises(BlobsUnavailable, match="File too large"):
            writer.write(bytes(3 * 2**20))
        writer.discard()
        with pytest.raises(BlobsUnavailable):
            blobs.put(KEY, bytes(2**20 + 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "blobs/.aside").iterdir()) == []
    assert list(blobs.list("")) == []
    blobs.put(KEY, bytes(2**20 + 1))


def test_what_a_killed_process_left_is_swept_and_what_somebody_writes_is_not(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    old, young = blobs.create("a"), blobs.create("b")
    young.write(b"1")
    (left, _) = sorted((tmp_path / "blobs/.aside").iterdir(), key=lambda path: path != old._aside)
    os.utime(left, (0, 0))
    LocalBlobs(tmp_path / "blobs")
    assert not left.exists()
    young.commit()
    old.discard()
    assert read(blobs, "b") == b"1"


def test_a_killed_process_leaves_no_half_blob(tmp_path):
    blobs = LocalBlobs(tmp_path / "blobs")
    program = (
        "import os, signal, sys; from pathlib import Path; from penstock.storage.blobs.local import LocalBlobs\n"
        "writer = LocalBlobs(Path(sys.argv[1])).create('ws_1/a'); writer.write(bytes(2**20))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "blobs")], timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "blobs/.aside").iterdir())) == 1
    assert list(blobs.list("")) == []


# ---- S3 ----


def test_a_bucket_that_is_not_there_is_not_a_blob_that_is_not_there(s3, s3_blobs):
    nowhere = S3Blobs("s3://no-such-bucket/p", endpoint=s3.endpoint)
    for act in (
        lambda: nowhere.put(KEY, b"1"),
        lambda: nowhere.stream(KEY),
        lambda: nowhere.delete([KEY]),
        lambda: list(nowhere.list("")),
        nowhere.check,
    ):
        with pytest.raises(BlobsUnavailable, match="no-such-bucket"):
            act()


def test_a_url_without_a_bucket_is_refused():
    for url in ("s3:///prefix", "s3://", "gs://bucket"):
        with pytest.raises(SettingInvalid, match="names no bucket"):
            S3Blobs(url)


def test_two_prefixes_of_a_bucket_know_nothing_of_each_other(s3, s3_blobs):
    bucket = s3.fresh_bucket()
    one, other = (S3Blobs(f"s3://{bucket}/{name}", endpoint=s3.endpoint) for name in ("one", "other"))
    one.put(KEY, b"1")
    assert list(other.list("")) == []
    with pytest.raises(BlobNotFound):
        other.stream(KEY)
    assert [item.key for item in one.list("")] == [KEY]


def test_s3_that_goes_away_is_said_within_the_time_limit_and_works_again_afterwards(monkeypatch):
    with start_s3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        blobs = S3Blobs(f"s3://{server.fresh_bucket()}", endpoint=server.endpoint, timeout_s=0.5)
        blobs.put(KEY, bytes(100))
        writer = blobs.create("ws_1/other")
        stream = blobs.stream(KEY)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            for act in (lambda: blobs.put(KEY, b"1"), blobs.check, lambda: next(stream), lambda: blobs.stream(KEY)):
                started_s = time.monotonic()
                with pytest.raises(BlobsUnavailable, match="does not answer in time"):
                    act()
                assert time.monotonic() - started_s < 20
            writer.write(b"1")
            with pytest.raises(BlobsUnavailable):
                writer.commit()
            writer.discard()
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        blobs.put(KEY, b"2")
        assert read(blobs, KEY) == b"2"
    with pytest.raises(BlobsUnavailable, match="cannot be reached"):
        blobs.check()


# ---- rows ----


def test_a_row_is_stored_with_what_points_to_it_or_not_at_all(database):
    rows = SmallBlobRows()
    blobs = BlobsWithSmall(database, MemoryBlobs())
    pointer = small_blob(KEY, b"bytes")

    def fail(tx):
        rows.store(tx, {pointer.key: b"bytes"})
        raise LookupError

    with contextlib.suppress(LookupError):
        database.write(fail)
    with pytest.raises(BlobNotFound):
        blobs.stream(pointer.key)
    database.write(lambda tx: rows.store(tx, {pointer.key: b"bytes"}))
    assert read(blobs, pointer.key) == b"bytes"
    assert pointer.sha256 == hashlib.sha256(b"bytes").hexdigest()
    with database.read() as tx:
        assert rows.load(tx, [pointer.key, "db:none"]) == {pointer.key: b"bytes"}
    database.write(lambda tx: rows.delete(tx, [pointer.key]))
    with pytest.raises(BlobNotFound), blobs.open(pointer.key):
        pass


def test_what_is_no_row_is_in_the_store(database):
    store = MemoryBlobs()
    blobs = BlobsWithSmall(database, store)
    blobs.put(KEY, b"large")
    blobs.put("db:" + KEY, b"small")
    assert list(store.kept) == [KEY]
    assert (read(blobs, KEY), read(blobs, "db:" + KEY)) == (b"large", b"small")
    assert [item.key for item in blobs.list("ws_1/")] == [KEY]
    assert list(blobs.list("db:ws_1/")) == [BlobPointer("db:" + KEY, 5, "")]
    blobs.delete([KEY, "db:" + KEY])
    assert store.kept == {}


def test_what_is_too_large_for_a_row_or_has_no_rows_key_is_refused(database):
    blobs = BlobsWithSmall(database, MemoryBlobs())
    blobs.put("db:" + KEY, bytes(16 * 1024))
    with pytest.raises(Bug, match="16385 bytes"):
        blobs.put("db:" + KEY, bytes(16 * 1024 + 1))
    with pytest.raises(Bug, match="does not begin"):
        database.write(lambda tx: SmallBlobRows().store(tx, {KEY: b""}))
    assert read(blobs, "db:" + KEY) == bytes(16 * 1024)


# ---- the twin ----


def test_the_twin_can_be_down():
    blobs = MemoryBlobs()
    blobs.put(KEY, b"1")
    blobs.down = True
    for act in (lambda: blobs.put(KEY, b"2"), lambda: blobs.stream(KEY), blobs.check, lambda: blobs.create(KEY)):
        with pytest.raises(BlobsUnavailable):
            act()
    blobs.down = False
    assert read(blobs, KEY) == b"1"
