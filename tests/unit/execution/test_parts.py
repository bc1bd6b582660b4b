"""Parts of jobs: what they give is what `penstock process` gives, and how each can end."""

import dataclasses
import gzip

import pytest
import zstandard

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import Bug
from penstock.core.jobs import BlobPointer, Entry, EntryId, JobInput, Lane, Lease, small_blob
from penstock.core.plan import RunId
from penstock.core.scripts import ChunkDeath, ScriptLimits, ScriptVersion
from penstock.core.work import Assignment, Piece
from penstock.execution.context import Context
from penstock.execution.parts import run_part, spec_of
from penstock.storage.blobs.memory import MemoryBlobs
from penstock.storage.files import LocalFiles
from penstock.storage.job_files import JobFiles
from penstock.tasks.script import ScriptTask
from tests.twins import TwinProgress, TwinRunner, TwinSandbox, chunk_of

DOUBLE = b"def process(data):\n    return {'a': data['a'] * 2} if data['a'] % 10 else None\n"
TABLE = b"def process_table(table):\n    return table\n"
RECORDS = b"".join(b'{"a": %d}\n' % number for number in range(2_500))
BAD = b'{"a": 1}\n{"a": "x"}\nnot json\n{"a": [1]}\n{"a": 2}\n'
PREFIX = "ws_1/jobs/job_1/"


def script(source=DOUBLE, **changes):
    """A script version in Python."""
    return ScriptVersion("s.py", source, "python", "std", **changes)


class Worker:
    """Carries out the parts of one job as workers would, and keeps what they make."""

    def __init__(self, sandbox, given, *, name="in.ndjson", format_="ndjson", encoding="identity", **options):
        self.blobs = MemoryBlobs()
        self.rows = {}
        self.sandbox = sandbox
        if len(given) <= 1000:
            pointer = small_blob(f"{PREFIX}input", given)
            self.rows[pointer.key] = given
        else:
            pointer = self.blobs.put(f"{PREFIX}input", given)
        self.input = JobInput(pointer, name, format_, encoding)
        self.options = {"script": script(), "version_id": "h"} | options

    def assignment(self, part, number=0, **more):
        """The assignment of a part."""
        entry = Entry(
            EntryId(f"att_{part}{number}"), WorkspaceId("ws_1"), Lane("scr_1"), RunId("job_1"), "script", part, number
        )
        lease = Lease(entry, 1, "w", 0.0, 2.0)
        return Assignment(lease, PREFIX, self.input, small=self.rows, **self.options, **more)

    def run(self, part, number=0, **more):
        """The report of a part."""
        report = self.carry_out(self.assignment(part, number, **more))
        self.rows |= report.small
        return report

    def carry_out(self, assignment):
        """The report of an assignment."""
        return run_part(assignment, sandbox=self.sandbox, files=JobFiles(self.blobs, assignment))

    def run_split(self):
        """The report of the last part of a job in chunks; every part before it succeeds."""
        cut = self.run("split")
        assert cut.outcome == "succeeded", cut.error
        pieces = []
        for chunk in cut.report["chunks"]:
            frame = BlobPointer(chunk["key"], chunk["size_bytes"], chunk["sha256"])
            piece = Piece(chunk["number"], frame)
            done = self.run("chunk", piece.number, piece=piece)
            assert done.outcome == "succeeded", done.error
            pieces.append(
                dataclasses.replace(piece, report=done.report, output=done.output, dead_letters=done.dead_letters)
            )
        return self.run("join", pieces=tuple(pieces), skipped=tuple(map(tuple, cut.report["skipped"])))

    def bytes_of(self, pointer):
        """What lies behind a pointer."""
        if pointer is None:
            return None
        return self.rows[pointer.key] if pointer.key in self.rows else self.blobs.kept[pointer.key][0]


def processed(sandbox, tmp_path, given, **options):
    """The output and the dead letters that `penstock process` gives."""
    worker = Worker(sandbox, b"", **options)
    path = tmp_path / "in.ndjson"
    path.write_bytes(given)

    spec = dataclasses.replace(
        spec_of(worker.assignment("whole")),
        inputs=(str(path),),
        output=str(tmp_path / "out"),
        dead_letters_default=str(tmp_path / "dead"),
    )
    ScriptTask().run(spec, Context(sandbox, LocalFiles(), TwinProgress(), parallel=2))
    dead = tmp_path / "dead"
    letters = dead.read_bytes().replace(str(path).encode(), b"in.ndjson") if dead.exists() else None
    return (tmp_path / "out").read_bytes(), letters


@pytest.mark.parametrize("given", [RECORDS, BAD, b"", b"\n\n" + RECORDS[:30] + b"\r\n\n" + BAD])
@pytest.mark.parametrize("output_format", ["ndjson", "csv"])
def test_a_whole_job_and_one_in_chunks_give_what_process_gives(sandbox, tmp_path, given, output_format):
    options = {"chunk_records": 700 if len(given) > 1000 else 2, "output_format": output_format, "errors_max": "90%"}
    expected = processed(sandbox, tmp_path, given, **options)
    for run in (lambda worker: worker.run("whole"), Worker.run_split):
        worker = Worker(sandbox, given, **options)
        report = run(worker)
        assert report.outcome == "succeeded", report.error
        assert (worker.bytes_of(report.output), worker.bytes_of(report.dead_letters)) == expected


def test_both_ways_give_the_same_account(sandbox):
    options = {"chunk_records": 2, "errors_max": "90%"}
    whole, joined = Worker(sandbox, BAD, **options).run("whole"), Worker(sandbox, BAD, **options).run_split()
    assert whole.report == joined.report
    assert (whole.report["records"], whole.report["failed"], whole.report["chunks"]) == (5, 3, 3)


def test_tables_stay_tables_on_their_way_through_chunks(sandbox, tmp_path):
    options = {"script": dataclasses.replace(script(TABLE), profile="arrow"), "output_format": "parquet"}
    options["chunk_records"] = 1000
    expected = processed(sandbox, tmp_path, RECORDS, **options)
    worker = Worker(sandbox, RECORDS, **options)
    assert worker.bytes_of(worker.run_split().output) == expected[0]


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_an_input_may_be_compressed_whatever_its_name_says(sandbox, encoding, pack):
    plain, packed = Worker(sandbox, RECORDS), Worker(sandbox, pack(RECORDS), encoding=encoding)
    assert packed.bytes_of(packed.run("whole").output) == plain.bytes_of(plain.run("whole").output)


def test_a_small_input_that_unfolds_to_much_is_left_to_a_split_before_its_script_has_run(
    sandbox, tmp_path, monkeypatch
):
    given = RECORDS * 60
    options = {"encoding": "gzip", "script": script(b"print('ran')\n" + DOUBLE), "errors_max": "90%"}
    packed = gzip.compress(given)
    expected = processed(sandbox, tmp_path, given)[0]
    bound = limits.WHOLE_UNFOLDED
    monkeypatch.setattr(limits, "WHOLE_UNFOLDED", dataclasses.replace(bound, value=1))
    worker = Worker(sandbox, packed, **options)
    report = worker.run("whole")
    assert (report.outcome, report.report, report.killed) == ("succeeded", {"unfolds": True, "printed": ""}, False)
    assert (report.output, report.small, len(list(worker.blobs.list("")))) == (None, {}, 1)
    assert worker.bytes_of(worker.run_split().output) == expected
    monkeypatch.setattr(limits, "WHOLE_UNFOLDED", dataclasses.replace(bound, value=2))
    assert worker.bytes_of(worker.run("whole").output) == expected


def test_random_numbers_follow_from_the_run_and_the_chunk(sandbox):
    source = b"import random\ndef process(data):\n    return {'r': random.random()}\n"
    options = {"script": script(source), "chunk_records": 1000}
    whole, joined = Worker(sandbox, RECORDS, **options), Worker(sandbox, RECORDS, **options)
    first = whole.bytes_of(whole.run("whole").output)
    assert first == joined.bytes_of(joined.run_split().output)
    assert len(set(first.splitlines())) == 2_500


def test_small_results_travel_with_the_report_and_large_ones_are_blobs(sandbox):
    small, large = Worker(sandbox, RECORDS[:900]).run("whole"), Worker(sandbox, RECORDS).run("whole")
    assert list(small.small) == [small.output.key]
    assert not large.small
    assert large.output.size_bytes > limits.SMALL_BLOB.value * 1024


def test_too_many_errors_leave_the_dead_letters_and_the_account(sandbox):
    worker = Worker(sandbox, BAD)
    report = worker.run("whole")
    assert (report.outcome, report.error["code"], report.output) == ("failed", "too_many_errors", None)
    assert report.report["failed"] == 3
    assert worker.bytes_of(report.dead_letters).count(b"\n") == 3
    assert not report.killed


def test_errors_are_judged_in_the_order_of_the_chunks(sandbox):
    """The first thousand records fail, which is a tenth of all: `process` stops there, and so does the job."""
    given = b'{"a": "x"}\n' * 1_000 + b'{"a": 1}\n' * 99_000
    worker = Worker(
        sandbox, given, chunk_records=1_000, script=script(b"def process(d):\n    return {'a': d['a'] + 1}\n")
    )
    cut = worker.run("split")
    pieces = []
    for chunk in cut.report["chunks"][:2]:
        frame = BlobPointer(chunk["key"], chunk["size_bytes"], chunk["sha256"])
        done = worker.run("chunk", chunk["number"], piece=Piece(chunk["number"], frame))
        pieces.append(Piece(chunk["number"], frame, done.report, done.output, done.dead_letters))
    report = worker.run("join", pieces=tuple(pieces))
    assert (report.error["code"], report.report["records"]) == ("too_many_errors", 1_000)


def test_a_top_level_that_fails_counts_as_a_kill(sandbox):
    report = Worker(sandbox, RECORDS, script=script(b"1 / 0\ndef process(d):\n    return d\n")).run("whole")
    assert (report.outcome, report.error["code"], report.killed) == ("failed", "script_failed", True)


def test_a_script_that_is_stopped_on_every_record_counts_as_a_kill(sandbox):
    endless = script(b"def process(d):\n    while True: pass\n", limits=ScriptLimits(wall_s=0.2))
    report = Worker(sandbox, b'{"a": 1}\n', script=endless, errors_max="100%").run("whole")
    assert (report.outcome, report.killed) == ("succeeded", True)
    assert report.report["causes"][0]["code"] == "limit_wall"


def test_a_script_that_raises_on_every_record_is_no_kill(sandbox):
    raises = script(b"def process(d):\n    raise ValueError\n")
    assert not Worker(sandbox, b'{"a": 1}\n', script=raises, errors_max="100%").run("whole").killed


def test_a_blob_store_that_is_down_costs_no_attempt(sandbox):
    worker = Worker(sandbox, RECORDS)
    worker.blobs.down = True
    report = worker.run("whole")
    assert (report.outcome, report.error["code"], report.error["retry_after_s"]) == (
        "transient",
        "blobs_unavailable",
        1,
    )


def test_an_input_that_is_gone_fails(sandbox):
    worker = Worker(sandbox, RECORDS)
    worker.blobs.kept.clear()
    report = worker.run("whole")
    assert (report.outcome, report.error["code"]) == ("failed", "blob_not_found")


def test_a_bug_may_be_tried_again():
    class Hopeless(TwinRunner):
        def run(self, *_, **__):
            return ChunkDeath("crashed", "", "whole_chunk", 0)

    sandbox = TwinSandbox(Hopeless(), {"in.ndjson": [chunk_of(b"1")]})
    report = Worker(sandbox, b"1\n").run("whole")
    assert (report.outcome, report.error["code"]) == ("crashed", Bug.code)


@pytest.mark.parametrize("part", ["whole", "split"])
def test_an_input_may_not_have_more_chunks_than_a_job_may(monkeypatch, part):
    monkeypatch.setattr(limits, "JOB_CHUNKS", dataclasses.replace(limits.JOB_CHUNKS, value=2))
    sandbox = TwinSandbox(inputs={"in.ndjson": [chunk_of(b"1")] * 3})
    report = Worker(sandbox, b"1\n").run(part)
    assert (report.outcome, report.error["code"]) == ("failed", "too_large")


def test_an_output_may_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(limits, "JOB_OUTPUT", dataclasses.replace(limits.JOB_OUTPUT, value=0))
    report = Worker(TwinSandbox(inputs={"in.ndjson": [chunk_of(b"1")]}), b"1\n").run("whole")
    assert (report.outcome, report.error["code"], report.small) == ("failed", "too_large", {})


@pytest.mark.parametrize("part", ["whole", "split"])
def test_an_input_may_not_unfold_past_the_room_of_its_workspace_and_leaves_nothing(sandbox, part):
    worker = Worker(sandbox, gzip.compress(RECORDS * 20), encoding="gzip", chunk_records=500)
    before = {blob.key for blob in worker.blobs.list("")}
    report = worker.run(part, room_bytes=30_000)
    assert (report.outcome, report.error["code"]) == ("failed", "too_large")
    assert "stored_bytes_max" in report.error["message"]
    assert {blob.key for blob in worker.blobs.list("")} == before
    assert worker.run(part, room_bytes=50_000_000).outcome == "succeeded"


def test_what_a_script_prints_first_is_kept(sandbox):
    talks = script(b"def process(d):\n    print('x' * 3000)\n    return d\n")
    printed = Worker(sandbox, RECORDS, script=talks).run("whole").report["printed"]
    assert len(printed) == 4_000


def test_attempts_never_share_a_key(sandbox):
    worker = Worker(sandbox, RECORDS)
    first = worker.assignment("whole")
    second = dataclasses.replace(first, lease=dataclasses.replace(first.lease, token=2))
    outputs = [worker.carry_out(each).output for each in (first, second)]
    assert len(worker.blobs.kept) == 1 + len(outputs)
