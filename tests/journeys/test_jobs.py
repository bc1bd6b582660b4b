"""Jobs on a real worker: what comes out is what `penstock process` gives, and every way a job can end."""

from __future__ import annotations

import gzip
import time

import orjson
import pytest

from penstock.core import limits
from penstock.core.jobs import ENDED
from tests.journeys.command import Folder
from tests.processes import wait_for
from tests.workers import open_site

CLEAN = b"""
def process(data):
    if data["a"] % 7 == 0:
        return None
    if data["a"] % 11 == 0:
        raise ValueError("eleven")
    return {"a": data["a"] * 2, "t": "x" * (data["a"] % 5)}
"""
SLEEP = b"""
def process(data):
    end = 0
    for _ in range(data["loops"]):
        end += 1
    return {"done": end}
"""
LONG = b'{"loops": 2000000000}\n'
PADDING = "y" * 450
SMALL = b"".join(b'{"a": %d}\n' % number for number in range(300))
LARGE = b"".join(b'{"a": %d, "p": "%s"}\n' % (number, PADDING.encode()) for number in range(1, 10_001))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A server with one worker of two runners."""
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        opened.start_worker(runners=2)
        yield opened


@pytest.fixture(scope="module")
def ada(site):
    """Somebody with scripts."""
    actor = site.actor()
    site.publish(actor, CLEAN)
    site.publish(actor, SLEEP, name="sleep")
    return actor


def ended(site, actor, *args, timeout_s=30.0, **options):
    """Submit a job and wait for its end."""
    job = site.submit(actor, *args, **options)
    return site.wait(actor, [job.id], timeout_s=timeout_s)[0]


def processed(folder: Folder, data, *, output="out.ndjson", chunk=10_000, errors_max="50%"):
    """Output, dead letters and account of `penstock process`, run beside."""
    folder.write(clean_py=CLEAN, records_ndjson=data)
    arguments = ["-o", output, "--chunk", str(chunk), "--max-errors", errors_max, "--json"]
    done = folder.penstock("process", "clean.py", "records.ndjson", *arguments)
    dead = folder.path / f"{output}.dead-letters.ndjson"
    return (folder.path / output).read_bytes(), dead.read_bytes() if dead.exists() else None, orjson.loads(done.stdout)


@pytest.mark.parametrize("output_format", ["ndjson", "csv", "parquet"])
@pytest.mark.parametrize(("data", "chunk"), [(SMALL, 100), (LARGE, 1_500)], ids=["small", "in chunks"])
def test_a_job_gives_what_process_gives_to_the_byte(site, ada, folder, data, chunk, output_format):
    output, letters, account = processed(folder, data, output=f"out.{output_format}", chunk=chunk)
    job = ended(site, ada, data, chunk_records=chunk, errors_max="50%", output_format=output_format)
    assert job.state == "succeeded", job.error
    assert site.bytes_of(job.result) == output
    assert site.bytes_of(job.dead_letters) == letters
    assert (job.counts.records, job.counts.failed, job.counts.rows) == (
        account["records"],
        account["failed"],
        account["rows"],
    )
    assert [cause["records"] for cause in job.causes] == [cause["records"] for cause in account["causes"]]


def test_a_large_input_is_cut_into_chunks_whose_blobs_are_gone_afterwards(site, ada):
    assert len(LARGE) > limits.WHOLE_JOB.value * 2**20
    job = ended(site, ada, LARGE, chunk_records=2_000, errors_max="50%")
    assert (job.chunks, job.chunks_done) == (5, 5)
    attempts = site.server.jobs.attempts(job.id, actor=ada)
    assert sorted(attempt.part for attempt in attempts) == ["chunk"] * 5 + ["join", "split"]

    def left():
        return [pointer.key for pointer in site.server.blobs.list(f"{ada.workspace}/jobs/{job.id}/")]

    wait_for(lambda: sorted(left()) == sorted([job.result.key, job.dead_letters.key]))


def test_an_input_may_be_compressed(site, ada):
    plain, packed = (
        ended(site, ada, data, encoding=encoding, errors_max="50%")
        for data, encoding in ((SMALL, "identity"), (gzip.compress(SMALL), "gzip"))
    )
    assert site.bytes_of(packed.result) == site.bytes_of(plain.result)


def test_too_many_errors_fail_a_job_and_keep_its_dead_letters(site, ada):
    job = ended(site, ada, b'{"a": 11}\n{"a": 1}\n')
    assert (job.state, job.error["code"], job.result) == ("failed", "too_many_errors", None)
    assert orjson.loads(site.bytes_of(job.dead_letters))["data"] == {"a": 11}
    assert job.counts.records == 2


def test_an_input_that_is_not_what_it_says_fails_with_the_place(site, ada):
    job = ended(site, ada, b"a,b\n1,2\n", name="orders.parquet", format_=None)
    assert (job.state, job.error["code"]) == ("failed", "input_unreadable")


def test_a_script_that_kills_every_run_pauses_itself_and_says_so(site):
    actor = site.actor("ws_killer")
    site.publish(actor, b"x = 1 / 0\n" + CLEAN)
    kills = limits.KILLS_IN_A_ROW.value
    site.wait(actor, [site.submit(actor).id for _ in range(kills)])
    late = site.submit(actor)
    waiting = wait_for(lambda: site.server.jobs.waiting(late.id, actor=actor))
    assert waiting.code == "script_paused"
    site.server.jobs.cancel(late.id, actor=actor)


def test_a_running_job_ends_soon_after_somebody_cancels_it(site, ada):
    job = site.submit(ada, LONG, script="sleep")
    wait_for(lambda: site.job(ada, job.id).state == "running")
    time.sleep(0.2)
    started_s = time.monotonic()
    site.server.jobs.cancel(job.id, actor=ada)
    assert site.wait(ada, [job.id])[0].state == "cancelled"
    assert time.monotonic() - started_s < 20


def test_jobs_behind_a_long_one_do_not_wait_for_it(site, ada):
    """They were leased together with it, or before anybody knew how long it takes."""
    long = [site.submit(ada, LONG, script="sleep") for _ in range(2)]
    short = [site.submit(ada, errors_max="100%") for _ in range(10)]
    assert {job.state for job in site.wait(ada, [job.id for job in short])} == {"succeeded"}
    assert not {site.job(ada, job.id).state for job in long} & ENDED
    for job in long:
        site.server.jobs.cancel(job.id, actor=ada)
    site.wait(ada, [job.id for job in long])


def test_a_job_whose_deadline_passes_before_it_starts_fails(site, ada):
    long = [site.submit(ada, LONG, script="sleep") for _ in range(4)]  # more than there are runners
    job = ended(site, ada, priority=-1, deadline=time.time() + 0.5)
    assert (job.state, job.error["code"]) == ("failed", "deadline_passed")
    for other in long:
        site.server.jobs.cancel(other.id, actor=ada)
    site.wait(ada, [other.id for other in long])


def test_warm_children_serve_many_jobs_and_one_workspace(site):
    source = b"seen = []\ndef process(data):\n    seen.append(1)\n    return {'seen': len(seen)}\n"
    actors = [site.actor(f"ws_warm{number}") for number in range(2)]
    for actor in actors:
        site.publish(actor, source, tier="warm")
    jobs = [ended(site, actors[0]) for _ in range(20)]
    assert max(orjson.loads(site.bytes_of(job.result))["seen"] for job in jobs) > 1
    assert orjson.loads(site.bytes_of(ended(site, actors[1]).result)) == {"seen": 1}


def test_the_records_of_a_job_move_while_it_runs(site, ada):
    job = site.submit(ada, b'{"loops": 1}\n' * 50 + LONG, script="sleep")
    wait_for(lambda: site.server.jobs.read(job.id, actor=ada).counts.records == 50)
    site.server.jobs.cancel(job.id, actor=ada)
    site.wait(ada, [job.id])


def test_an_attempt_tells_what_it_cost(site, ada):
    job = ended(site, ada, b'{"loops": 2000000}\n', script="sleep")
    (attempt,) = site.server.jobs.attempts(job.id, actor=ada)
    assert (attempt.part, attempt.outcome) == ("whole", "succeeded")
    assert attempt.cpu_s > 0.01
    assert attempt.finished_at > attempt.started_at
