"""A worker's round: what ended with what follows, and what is next, in one transaction, on both databases."""

import dataclasses

import pytest

from penstock.core.access import Quotas
from penstock.core.jobs import AttemptReport, BlobPointer, JobFilter, Webhook, small_blob
from penstock.core.work import Ended, Told
from penstock.database.schema import attempts, deliveries, queue_entries, usage, versions
from tests.service import Service, account


@pytest.fixture
def service(database):
    return Service(database)


@pytest.fixture
def actor(service):
    return service.actor()


def _read(service, actor, job):
    return service.jobs.read(job.id, actor=actor)


def _chunks(*numbers):
    return {
        "chunks": [{"number": n, "key": f"ws_1/{n}", "size_bytes": 1, "sha256": "", "records": 10} for n in numbers],
        "skipped": [["a.tar.gz", "notes.txt", "its name has none of the endings"]],
    }


def test_an_assignment_holds_all_that_it_takes(service, actor):
    job = service.submit(actor, b'{"a":1}\n', output_format="csv", errors_max="5")
    (assignment,) = service.round().assignments
    assert assignment.lease.entry.run == job.id
    assert assignment.small == {job.input.blob.key: b'{"a":1}\n'}
    assert assignment.script is not None
    assert assignment.script.source == b"def process(data):\n    return data\n"
    assert (assignment.output_format, assignment.errors_max) == ("csv", "5")
    assert assignment.prefix == f"ws_1/jobs/{job.id}/"
    assert _read(service, actor, job).state == "running"


@pytest.mark.parametrize(("quota", "room_bytes"), [(200 * 2**20, 200 * 2**20 - 8), (10, 64 * 2**20)])
def test_an_attempt_may_make_what_the_workspace_has_room_for_and_a_little_in_any_case(
    service, actor, quota, room_bytes
):
    service.database.write(
        lambda tx: service.jobs.quotas.set_quotas(tx, actor.workspace, Quotas(stored_bytes_max=quota))
    )
    service.submit(actor, b'{"a":1}\n')
    (assignment,) = service.round().assignments
    assert assignment.room_bytes == room_bytes


def test_a_whole_job_ends_with_its_account_result_attempt_and_usage(service, actor):
    job = service.submit(actor)
    (assignment,) = service.round().assignments
    data = b'{"a":2}\n'
    result = small_blob(f"{assignment.prefix}result", data)
    service.clock.advance(1)
    ended = service.ended(assignment, report=account(3, failed=1), output=result, small={result.key: data}, cpu_s=0.25)
    assert service.round(ended).refused == ()
    done = _read(service, actor, job)
    assert (done.state, done.result, done.counts.records, done.counts.failed) == ("succeeded", result, 3, 1)
    assert b"".join(service.jobs.open_result(job.id, actor=actor)[1]) == data
    (attempt,) = service.jobs.attempts(job.id, actor=actor)
    assert (attempt.outcome, attempt.cpu_s, attempt.worker) == ("succeeded", 0.25, "wrk_1")
    with service.database.read() as tx:
        (used,) = tx.execute(usage.select()).all()
        assert (used.cpu_s, used.jobs, used.records) == (0.25, 1, 3)
        assert tx.execute(queue_entries.select()).all() == []


def test_cpu_time_that_comes_late_is_its_workspaces_and_no_attempts(service, actor):
    """A child may go on after its reply; its attempt may be recorded by then."""
    late = [(actor.workspace, 0.25), ("ws_other", 1.0), (actor.workspace, 0.5)]
    service.work.heartbeat(service.state(), [], told=Told(late))
    with service.database.read() as tx:
        used = {row.workspace: (row.cpu_s, row.jobs, row.records) for row in tx.execute(usage.select())}
    assert used == {actor.workspace: (0.75, 0, 0), "ws_other": (1.0, 0, 0)}


def test_the_end_of_an_expired_lease_is_refused_and_changes_nothing(service, actor):
    job = service.submit(actor)
    (first,) = service.round().assignments
    service.clock.advance(3)
    service.work.tick()
    (second,) = service.round(worker="wrk_2").assignments
    late = service.ended(first, output=BlobPointer("ws_1/late", 1, ""))
    assert service.round(late, count=0).refused == (first.lease.entry.id,)
    assert _read(service, actor, job).state == "running"
    service.round(service.ended(second, output=BlobPointer("ws_1/second", 1, "")))
    assert _read(service, actor, job).result == BlobPointer("ws_1/second", 1, "")


def test_an_attempt_of_a_worker_that_died_is_listed_with_its_worker_and_its_times(service, actor):
    job = service.submit(actor)
    service.round(worker="wrk_dead")
    began = service.clock()
    service.clock.advance(3)
    assert service.work.tick().reaped == 1
    service.clock.advance(1)
    (again,) = service.round().assignments
    service.round(service.ended(again))
    first, second = service.jobs.attempts(job.id, actor=actor)
    assert (first.outcome, first.worker, first.attempt) == ("lost", "wrk_dead", 1)
    assert (first.started_at, first.finished_at) == (began, began + 3)
    assert first.error["code"] == "worker_lost"
    assert (second.outcome, second.attempt) == ("succeeded", 2)


def test_a_tick_that_had_to_wait_for_the_database_gives_nobody_up(service, actor):
    """Workers that are alive had to wait as well, and could not say so."""
    service.submit(actor)
    service.round()
    service.clock.advance(3)
    write = service.database.write

    class Slow:
        def write(self, work):
            service.clock.advance(1.5)
            return write(work)

    late = dataclasses.replace(service.work, database=Slow())
    assert late.tick().reaped == 0
    assert service.work.tick().reaped == 1


def test_a_job_whose_workers_die_each_time_fails_and_says_so(service, actor):
    job = service.submit(actor, attempts_max=2)
    for _ in range(2):
        assert len(service.round().assignments) == 1
        service.clock.advance(3)
        service.work.tick()
    failed = _read(service, actor, job)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "worker_lost"


def test_a_deadline_that_passes_before_the_start_fails_the_job(service, actor):
    job = service.submit(actor, deadline=service.clock() + 10)
    service.clock.advance(11)
    service.work.tick()
    failed = _read(service, actor, job)
    assert failed.error is not None
    assert (failed.state, failed.error["code"]) == ("failed", "deadline_passed")
    assert service.round().assignments == ()


def test_a_small_input_that_unfolds_to_much_is_split_and_its_script_counted_once(service, actor):
    service.submit(actor)
    (whole,) = service.round().assignments
    for _ in range(4):
        service.database.write(lambda tx: service.queue.count_kill(tx, "ws_1", whole.lease.entry.lane, killed=True))
    (split,) = service.round(service.ended(whole, report={"unfolds": True, "printed": ""})).assignments
    assert split.lease.entry.part == "split"
    (chunk,) = service.round(service.ended(split, report=_chunks(0))).assignments
    killed = service.ended(chunk, outcome="crashed", report={}, killed=True)
    service.round(killed)
    with service.database.read() as tx:
        assert service.queue.pause_of(tx, "ws_1", chunk.lease.entry.lane) is not None, (
            "a whole that did not run says nothing"
        )


def test_the_usage_of_a_job_in_chunks_is_that_of_one_job(service, actor):
    service.submit_large(actor)
    (split,) = service.round().assignments
    for chunk in service.round(service.ended(split, report=_chunks(0, 1))).assignments:
        service.round(service.ended(chunk, report=account(10)), count=0)
    (join,) = service.round().assignments
    service.round(service.ended(join, report=account(20)))
    with service.database.read() as tx:
        (used,) = tx.execute(usage.select()).all()
    assert (used.jobs, used.records) == (1, 20)


def test_a_large_job_is_split_run_in_chunks_and_joined(service, actor):
    job = service.submit_large(actor)
    (split,) = service.round().assignments
    assert split.lease.entry.part == "split"
    chunks = service.round(service.ended(split, report=_chunks(0, 1, 2))).assignments
    assert [(each.lease.entry.part, each.piece.number) for each in chunks] == [("chunk", 0), ("chunk", 1), ("chunk", 2)]
    for each in chunks[:2]:
        output = BlobPointer(f"ws_1/out-{each.piece.number}", 5, "")
        assert service.round(service.ended(each, report=account(10), output=output)).assignments == ()
    running = _read(service, actor, job)
    assert (running.chunks, running.chunks_done, running.counts.records) == (3, 2, 20)
    (join,) = service.round(service.ended(chunks[2], report=account(10))).assignments
    assert join.lease.entry.part == "join"
    assert [piece.number for piece in join.pieces] == [0, 1, 2]
    assert [piece.output and piece.output.key for piece in join.pieces] == ["ws_1/out-0", "ws_1/out-1", None]
    assert join.skipped == (("a.tar.gz", "notes.txt", "its name has none of the endings"),)
    service.round(service.ended(join, report=account(30), output=BlobPointer("ws_1/result", 15, "")))
    done = _read(service, actor, job)
    assert (done.state, done.counts.records) == ("succeeded", 30)


def test_the_records_of_a_job_move_while_its_chunks_run(service, actor):
    job = service.submit_large(actor)
    (split,) = service.round().assignments
    first, second = service.round(service.ended(split, report=_chunks(0, 1))).assignments

    def records(*done):
        leases = [each.lease for each, _ in done]
        service.work.heartbeat(service.state(), leases, told=Told(done=[(each.lease.entry, n) for each, n in done]))
        (listed,) = service.jobs.list(JobFilter(), actor=actor)
        assert listed.counts == _read(service, actor, job).counts
        return listed.counts.records

    assert records((first, 4)) == 4
    assert records((first, 7), (second, 2)) == 9
    service.round(service.ended(first, report=account(10)), count=0)
    assert records((second, 3)) == 10 + 3
    assert records((first, 8)) == 10 + 3, "its lease is gone"
    (join,) = service.round(service.ended(second, report=account(10))).assignments
    assert records((join, 0)) == 20


def test_chunks_that_end_in_one_round_are_joined_once(service, actor):
    service.submit_large(actor)
    (split,) = service.round().assignments
    chunks = service.round(service.ended(split, report=_chunks(0, 1))).assignments
    after = service.round(*[service.ended(each, report=account(10)) for each in chunks]).assignments
    assert [each.lease.entry.part for each in after] == ["join"]


def test_one_chunk_that_crashed_is_tried_again_alone(service, actor):
    service.submit_large(actor)
    (split,) = service.round().assignments
    first, second = service.round(service.ended(split, report=_chunks(0, 1))).assignments
    service.round(
        service.ended(first, report=account(10)),
        service.ended(second, outcome="crashed", report={}, error={"code": "runner_lost"}),
    )
    service.clock.advance(2)
    service.work.tick()
    (again,) = service.round().assignments
    assert (again.lease.entry.part, again.piece.number, again.lease.entry.attempt) == ("chunk", 1, 2)


def test_too_many_errors_end_a_large_job_before_its_last_chunk(service, actor):
    service.submit_large(actor, errors_max="1000")
    (split,) = service.round(count=1).assignments
    first, *_ = service.round(service.ended(split, report=_chunks(0, 1, 2)), count=1).assignments
    (join,) = service.round(service.ended(first, report=account(10_000, failed=2_000))).assignments
    assert join.lease.entry.part == "join"
    with service.database.read() as tx:
        assert [row.part for row in tx.execute(queue_entries.select())] == ["join"]


def test_an_outage_sends_work_back_without_costing_an_attempt(service, actor):
    job = service.submit(actor)
    (assignment,) = service.round().assignments
    service.round(service.ended(assignment, outcome="transient", report={}, error={"code": "blobs_unavailable"}))
    waiting = service.jobs.waiting(job.id, actor=actor)
    assert waiting is not None
    assert waiting.code == "blobs_unavailable"
    service.clock.advance(6)
    service.work.tick()
    (again,) = service.round().assignments
    assert again.lease.entry.attempt == 1


def test_code_that_cannot_be_fetched_gives_the_lease_back_with_the_reason(service, actor):
    job = service.submit(actor)
    service.store.down = True
    assert service.round().assignments == ()
    waiting = service.jobs.waiting(job.id, actor=actor)
    assert waiting is not None
    assert waiting.code == "blobs_unavailable"
    service.store.down = False
    service.clock.advance(6)
    service.work.tick()
    assert len(service.round().assignments) == 1


def test_a_job_on_a_version_that_was_revoked_meanwhile_fails_and_says_so(service, actor):
    job = service.submit(actor)
    service.database.write(lambda tx: tx.execute(versions.update().values(state="revoked")))
    assert service.round().assignments == ()
    failed = _read(service, actor, job)
    assert failed.error is not None
    assert (failed.state, failed.error["code"]) == ("failed", "version_revoked")


def test_a_script_that_is_killed_again_and_again_is_paused_until_somebody_resumes_it(service, actor):
    jobs = [service.submit(actor) for _ in range(6)]
    for _ in range(5):
        (assignment,) = service.round(count=1).assignments
        service.round(
            service.ended(assignment, outcome="failed", report={}, error={"code": "limit_cpu"}, killed=True), count=0
        )
    assert service.round().assignments == ()
    waiting = service.jobs.waiting(jobs[5].id, actor=actor)
    assert waiting is not None
    assert waiting.code == "script_paused"
    lane = jobs[5].script
    assert service.database.write(lambda tx: service.queue.resume_lane(tx, actor.workspace, lane))
    assert len(service.round().assignments) == 1


def test_a_webhook_is_sent_after_the_end_and_tried_again_until_it_arrives(service, actor):
    service.submit(actor, webhook=Webhook("https://example.com/hook", "signing"))
    (assignment,) = service.round().assignments
    (hook,) = service.round(service.ended(assignment)).assignments
    assert hook.message is not None
    assert (hook.message.url, hook.message.secret) == ("https://example.com/hook", b"whsec")
    assert b"job.succeeded" in hook.message.body
    service.round(
        service.ended(hook, outcome="crashed", report={}, error={"code": "webhook_refused", "message": "503"})
    )
    service.clock.advance(400)
    service.work.tick()
    (again,) = service.round().assignments
    assert again.message is not None
    assert again.message.id == hook.message.id
    service.round(service.ended(again, report={"status": 200}))
    with service.database.read() as tx:
        (delivery,) = tx.execute(deliveries.select()).all()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)


def test_what_is_released_runs_again_at_its_first_attempt(service, actor):
    service.submit(actor)
    (assignment,) = service.round().assignments
    service.work.release("wrk_1", [assignment.lease], reason="draining")
    (again,) = service.round().assignments
    assert again.lease.entry.attempt == 1


def test_a_batch_of_ends_and_leases_is_one_transaction(service, actor):
    jobs = [service.submit(actor) for _ in range(20)]
    assignments = service.round(count=20).assignments
    assert len(assignments) == 20
    service.round(*[service.ended(each) for each in assignments])
    with service.database.read() as tx:
        assert len(tx.execute(attempts.select()).all()) == 20
    assert {job.state for job in service.jobs.list(JobFilter(), actor=actor)} == {"succeeded"}
    assert len(jobs) == 20


def test_an_end_that_cannot_be_recorded_keeps_its_lease(service, actor):
    service.submit(actor)
    (assignment,) = service.round().assignments
    broken = Ended(assignment.lease, AttemptReport("succeeded", report={"records": object()}), 0.0, 1.0)
    with pytest.raises(TypeError):
        service.round(broken, count=0)
    assert service.work.heartbeat(service.state(), [assignment.lease]).leases != ()
