"""What has been kept long enough goes, with all that hangs on it and nothing else, on both databases."""

import itertools

import pytest
import sqlalchemy

from penstock.access.audit import SqlAudit
from penstock.access.quotas import SqlQuotas
from penstock.core import limits
from penstock.core.errors import BlobsUnavailable, NotFound
from penstock.core.jobs import BlobPointer, JobFilter, JobInput, JobOptions, JobRequest, Webhook, small_blob
from penstock.core.work import Told
from penstock.database.schema import (
    attempts,
    audit_events,
    deliveries,
    idempotency,
    job_labels,
    jobs,
    parts,
    runs,
    small_blobs,
    task_progress,
    tasks,
    workers,
    workspaces,
)
from penstock.storage.blobs.small import BlobsWithSmall
from penstock.storage.retention_records import SqlRetentionRecords
from penstock.usecases.retention import Retention
from tests.service import Service, account

DAY_S = 86_400
OF_A_JOB = (runs, tasks, task_progress, jobs, job_labels, parts, attempts, deliveries)
COUNTER = itertools.count()


@pytest.fixture
def service(database):
    made = Service(database)
    made.store.clock = made.clock
    return made


@pytest.fixture
def actor(service):
    return service.actor()


@pytest.fixture
def retention(service):
    return retain(service)


def retain(service, **settings):
    blobs = BlobsWithSmall(service.database, service.store)
    ports = SqlRetentionRecords(), blobs, SqlQuotas(service.clock), SqlAudit(service.clock), service.clock
    return Retention(service.database, *ports, **settings)


def upload(service, actor, data=b"x" * 100):
    return service.store.put(f"{actor.workspace}/uploads/upl_{next(COUNTER)}", data)


def submit(service, actor, blob, **options):
    request = JobRequest("clean", "active", JobInput(blob), JobOptions(**options), blob.sha256)
    return service.jobs.submit(request, actor=actor)[0]


def carry_out(service, *, large=True):
    """Carry out what waits: a result, and dead letters, which are blobs or rows."""
    for assignment in service.round().assignments:
        made, small = {}, {}
        lease = assignment.lease
        service.work.heartbeat(service.state(), [lease], told=Told(done=[(lease.entry, 1)]))
        for name, data in (("output", b"r" * 10), ("dead_letters", b"d" * 5)):
            key = f"{assignment.prefix}{lease.entry.id}-{lease.token}/{name}"
            made[name] = service.store.put(key, data) if large else small_blob(key, data)
            if not large:
                small[made[name].key] = data
        service.round(service.ended(assignment, report=account(2, failed=1), small=small, **made), count=0)


def count(service, *tables):
    with service.database.read() as tx:
        return {
            table.name: tx.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar()
            for table in tables
        }


def stored_bytes(service):
    with service.database.read() as tx:
        return tx.execute(sqlalchemy.select(workspaces.c.stored_bytes)).scalar()


def inputs_and_results(service):
    return {key for key in service.store.kept if "/code/" not in key}


# ---- jobs ----


@pytest.mark.parametrize("large", [True, False])
def test_a_job_that_ended_long_ago_is_gone_with_its_rows_its_blobs_and_its_bytes(service, actor, retention, large):
    if large:
        submit(service, actor, upload(service, actor), labels={"team": "a"})
    else:
        service.submit(actor, b"x" * 100, labels={"team": "a"})
    carry_out(service, large=large)
    assert stored_bytes(service) == 115
    service.clock.advance(29 * DAY_S)
    assert retention.tick("wrk_1").jobs == 0
    service.clock.advance(DAY_S + 1)
    removed = retention.tick("wrk_1")
    assert (removed.jobs, removed.stored_bytes, removed.blobs) == (1, 115, 3 if large else 0)
    assert set(count(service, *OF_A_JOB, small_blobs).values()) == {0}
    assert inputs_and_results(service) == set()
    assert stored_bytes(service) == 0
    assert retention.tick("wrk_1").jobs == 0


def test_removing_a_job_is_audited_with_its_size(service, actor, retention):
    job = service.submit(actor)
    carry_out(service)
    service.clock.advance(31 * DAY_S)
    retention.tick("wrk_1")
    with service.database.read() as tx:
        event = tx.execute(audit_events.select().where(audit_events.c.action == "job.remove")).one()
    assert (event.subject, event.workspace, event.actor_name) == (job.id, "ws_1", "retention")
    assert '"stored_bytes":23' in event.details


def test_a_job_that_has_not_ended_stays_however_old_it_is(service, actor, retention):
    waiting, running = service.submit(actor, priority=-1), service.submit(actor, priority=1)
    assert [each.lease.entry.run for each in service.round(count=1).assignments] == [running.id]
    service.clock.advance(400 * DAY_S)
    assert retention.tick("wrk_1").jobs == 0
    assert {service.jobs.read(job.id, actor=actor).state for job in (waiting, running)} == {"queued", "running"}


def test_a_job_stays_while_its_webhook_waits(service, actor, retention):
    service.submit(actor, webhook=Webhook("https://example.org", "hook"))
    carry_out(service)
    service.clock.advance(31 * DAY_S)
    assert retention.tick("wrk_1").jobs == 0
    (delivery,) = service.round().assignments
    service.round(service.ended(delivery, report={"status": 200}), count=0)
    assert retention.tick("wrk_1").jobs == 1
    assert set(count(service, *OF_A_JOB).values()) == {0}


@pytest.mark.parametrize("large", [True, False])
def test_a_job_stays_while_one_that_repeats_it_is_there(service, actor, retention, large):
    first = submit(service, actor, upload(service, actor)) if large else service.submit(actor)
    service.jobs.cancel(first.id, actor=actor)
    service.clock.advance(20 * DAY_S)
    again = service.jobs.retry(first.id, actor=actor)
    carry_out(service, large=large)
    letters = service.jobs.replay(again.id, actor=actor)
    carry_out(service, large=large)
    service.clock.advance(15 * DAY_S)
    assert retention.tick("wrk_1").jobs == 0
    blobs = BlobsWithSmall(service.database, service.store)
    for job in (first, again, letters):
        assert b"".join(blobs.stream(job.input.blob.key))
    service.clock.advance(16 * DAY_S)
    assert retention.tick("wrk_1").jobs == 3  # those that repeat it, then it
    assert inputs_and_results(service) == set()
    assert count(service, jobs, small_blobs) == {"jobs": 0, "small_blobs": 0}
    assert stored_bytes(service) == 0


def test_an_object_that_its_owner_put_there_stays(service, actor, retention):
    blob = service.store.put("ws_1/incoming/orders.ndjson", b"1")
    submit(service, actor, blob)
    carry_out(service)
    service.clock.advance(31 * DAY_S)
    assert retention.tick("wrk_1").jobs == 1
    assert inputs_and_results(service) == {blob.key}


def test_an_upload_that_several_jobs_read_goes_with_the_last_of_them(service, actor, retention):
    shared = upload(service, actor)
    submit(service, actor, shared)
    carry_out(service)
    service.clock.advance(10 * DAY_S)
    pointing = submit(service, actor, shared)
    service.jobs.cancel(pointing.id, actor=actor)
    service.clock.advance(10 * DAY_S)
    again = service.jobs.retry(pointing.id, actor=actor)
    carry_out(service)
    service.clock.advance(15 * DAY_S)  # the first is removed, and the sweep has looked at everything
    assert retention.tick("wrk_1").jobs == 1
    assert shared.key in service.store.kept
    assert service.jobs.read(again.id, actor=actor).input.blob == shared
    service.clock.advance(16 * DAY_S)
    assert retention.tick("wrk_1").jobs == 2
    assert inputs_and_results(service) == set()
    assert stored_bytes(service) == 0


def test_a_job_that_was_removed_while_somebody_asked_to_repeat_it_is_not_repeated(service, actor, retention):
    """Its input is gone by then."""
    job = submit(service, actor, upload(service, actor))
    service.jobs.cancel(job.id, actor=actor)
    request = JobRequest(
        "clean", "active", job.input, JobOptions(), "another", idempotency_key="again", replay_of=job.id
    )
    service.clock.advance(31 * DAY_S)
    assert retention.tick("wrk_1").jobs == 1
    with pytest.raises(NotFound, match=job.id):
        service.jobs.submit(request, actor=actor)
    assert count(service, jobs) == {"jobs": 0}


def test_a_result_that_another_job_reads_stays_as_long_as_that_job(service, actor, retention):
    submit(service, actor, upload(service, actor))
    carry_out(service)
    (result,) = (key for key in service.store.kept if key.endswith("/output"))
    service.clock.advance(10 * DAY_S)
    submit(service, actor, BlobPointer(result, 10, "sha"))
    carry_out(service)
    service.clock.advance(25 * DAY_S)
    assert retention.tick("wrk_1").jobs == 1
    assert result in service.store.kept
    service.clock.advance(10 * DAY_S)
    assert retention.tick("wrk_1").jobs == 1
    assert inputs_and_results(service) == set()


def test_an_idempotency_key_outlives_its_job_and_is_then_forgotten(service, actor, retention):
    job = service.submit(actor, key="k")
    carry_out(service)
    service.clock.advance(31 * DAY_S)
    retention.tick("wrk_1")
    with pytest.raises(NotFound, match=f"{job.id}, .* was removed"):
        service.submit(actor, key="k")
    service.clock.advance(29 * DAY_S)
    retention.tick("wrk_1")
    assert count(service, idempotency) == {"idempotency": 1}
    service.clock.advance(2 * DAY_S)
    retention.tick("wrk_1")
    assert count(service, idempotency) == {"idempotency": 0}
    assert service.submit(actor, key="k").id != job.id


def test_one_tick_removes_no_more_than_its_share(service, actor):
    retention = retain(service, batch=3)
    for _ in range(17):
        service.submit(actor)
    for _ in range(2):
        carry_out(service)
    service.clock.advance(31 * DAY_S)
    removed = retention.tick("wrk_1")
    assert (removed.jobs, removed.more) == (3 * limits.RETENTION_ROUNDS.value, True)
    removed = retention.tick("wrk_1")
    assert (removed.jobs, removed.more) == (2, False)


def test_only_the_first_of_the_workers_that_are_alive_does_it(service, actor, retention):
    service.submit(actor)
    carry_out(service)
    service.clock.advance(31 * DAY_S)
    service.work.heartbeat(service.state(), [])
    assert retention.tick("wrk_2").jobs == 0
    service.clock.advance(60)  # it has died
    assert retention.tick("wrk_2").jobs == 1


def test_a_worker_that_has_not_been_seen_for_days_is_forgotten(service, retention):
    service.work.heartbeat(service.state(), [])
    service.clock.advance(DAY_S - 60)
    retention.tick("wrk_2")
    assert count(service, workers) == {"workers": 1}
    service.clock.advance(120)
    retention.tick("wrk_2")
    assert count(service, workers) == {"workers": 0}


# ---- chunks ----


def cut(service, actor, *, size_bytes=7):
    """Submit a large job and cut it into two chunks; return it and the assignments of the chunks."""
    job = submit(service, actor, upload(service, actor, b"x" * 5 * 2**20))
    (split,) = service.round().assignments
    blobs = [service.store.put(f"{split.prefix}chunk-{number}", b"c" * size_bytes) for number in range(2)]
    chunks = [{"number": n, "records": 1, "sha256": ""} | _place(blob) for n, blob in enumerate(blobs)]
    ended = service.ended(split, report={"chunks": chunks, "skipped": [], "records": 2})
    return job, service.round(ended).assignments


def _place(blob):
    return {"key": blob.key, "size_bytes": blob.size_bytes}


def carry_out_chunk(service, assignment):
    output = service.store.put(f"{assignment.prefix}out-{assignment.lease.entry.number}", b"o" * 11)
    service.round(service.ended(assignment, report=account(1), output=output), count=0)


def test_the_chunks_of_a_job_are_counted_while_they_are_there_and_go_when_it_has_succeeded(service, actor, retention):
    job, chunks = cut(service, actor)
    assert stored_bytes(service) == job.input.blob.size_bytes + 14
    for assignment in chunks:
        carry_out_chunk(service, assignment)
    assert stored_bytes(service) == job.input.blob.size_bytes + 14 + 22
    assert retention.tick("wrk_1").pieces_of == 0, "the join reads them"
    carry_out(service)  # the join
    done = service.jobs.read(job.id, actor=actor)
    assert done.state == "succeeded"
    before = stored_bytes(service)
    removed = retention.tick("wrk_1")
    assert (removed.pieces_of, removed.stored_bytes, removed.blobs) == (1, 36, 4)
    assert stored_bytes(service) == before - 36
    assert inputs_and_results(service) == {job.input.blob.key, done.result.key, done.dead_letters.key}
    assert count(service, parts, jobs) == {"parts": 0, "jobs": 1}
    service.clock.advance(31 * DAY_S)
    retention.tick("wrk_1")
    assert stored_bytes(service) == 0


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_the_chunks_of_a_job_go_once_nobody_works_on_it_however_it_ended(service, actor, retention, outcome):
    job, (first, second) = cut(service, actor)
    if outcome == "cancelled":
        service.jobs.cancel(job.id, actor=actor)
    service.round(service.ended(first, outcome=outcome, report={}, error={"code": "script_failed"}), count=0)
    assert service.jobs.read(job.id, actor=actor).state == outcome
    assert retention.tick("wrk_1").pieces_of == 0, "one is still being carried out"
    carry_out_chunk(service, second)  # too late to be of use, so it is not counted, and the sweep finds its blob
    assert retention.tick("wrk_1").stored_bytes == 14
    assert stored_bytes(service) == job.input.blob.size_bytes
    assert count(service, parts) == {"parts": 0}
    service.clock.advance(2 * DAY_S)
    assert retention.tick("wrk_1").blobs == 1
    assert inputs_and_results(service) == {job.input.blob.key}


def test_a_job_that_is_cancelled_while_it_waits_gives_its_chunks_back(service, actor, retention):
    job, chunks = cut(service, actor)
    service.work.release("wrk_1", [each.lease for each in chunks], reason="worker_drained")
    assert service.jobs.cancel(job.id, actor=actor).state == "cancelled"
    assert retention.tick("wrk_1").stored_bytes == 14
    assert stored_bytes(service) == job.input.blob.size_bytes


def test_chunks_go_a_batch_at_a_time_and_before_their_job(service, actor, retention, monkeypatch):
    monkeypatch.setattr(limits, "PIECES_BATCH", limits.Limit("pieces_batch", 2, "chunks", "few for the test"))
    monkeypatch.setattr(limits, "RETENTION_ROUNDS", limits.Limit("retention_rounds", 2, "batches", "few for the test"))
    for _ in range(2):
        submit(service, actor, upload(service, actor, b"x" * 5 * 2**20))
    for split in service.round().assignments:
        pieces = [service.store.put(f"{split.prefix}chunk-{number}", b"c") for number in range(5)]
        cut = [{"number": n, "key": p.key, "size_bytes": 1, "sha256": "", "records": 1} for n, p in enumerate(pieces)]
        service.round(service.ended(split, report={"chunks": cut, "skipped": [], "records": 5}), count=0)
    for job in service.jobs.list(JobFilter(), actor=actor):
        service.jobs.cancel(job.id, actor=actor)
    service.clock.advance(31 * DAY_S)
    while service.round().assignments:  # what was queued of it leaves the queue
        pass
    left = []
    for _ in range(4):
        retention.tick("wrk_1")
        left.append(tuple(count(service, parts, jobs).values()))
    assert left == [(6, 2), (2, 1), (0, 0), (0, 0)]
    assert inputs_and_results(service) == set()


def test_no_table_is_read_from_end_to_end(fresh_database):
    service = Service(fresh_database("sqlite"))
    service.store.clock = service.clock
    actor, retention, seen = service.actor(), retain(service), []
    submit(service, actor, upload(service, actor))
    carry_out(service)
    service.clock.advance(31 * DAY_S)
    sqlalchemy.event.listen(service.database.engine, "before_cursor_execute", lambda *args: seen.append(args[2:4]))
    assert retention.tick("wrk_1").jobs == 1
    asked = [(sql, values) for sql, values in seen if sql.startswith(("SELECT", "DELETE", "UPDATE"))]
    assert len(asked) > 10
    with service.database.read() as tx:
        plans = [
            f"{step.detail} ({sql})"
            for sql, values in asked
            for step in tx.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {sql}", values[0] if isinstance(values, list) else values
            )
        ]
    small = ("SCAN workers", "SCAN parts USING INDEX ix_parts_first", "SCAN CONSTANT", "SCAN (subquery")
    assert [plan for plan in plans if plan.startswith("SCAN") and not plan.startswith(small)] == []


# ---- what is nobody's ----


def test_an_upload_that_never_became_a_job_is_removed_after_a_day(service, actor, retention):
    upload(service, actor)
    used = upload(service, actor)
    submit(service, actor, used)
    service.clock.advance(0.5 * DAY_S)
    assert retention.tick("wrk_1").blobs == 0
    service.clock.advance(0.5 * DAY_S)
    young = upload(service, actor)
    service.clock.advance(0.4 * DAY_S)
    assert retention.tick("wrk_1").blobs == 0  # the last sweep began less than a day ago
    service.clock.advance(0.2 * DAY_S)
    assert retention.tick("wrk_1").blobs == 1
    assert inputs_and_results(service) == {used.key, young.key}


def test_what_lost_attempts_left_is_removed_and_what_is_needed_stays(service, actor, retention):
    ended, going_on = submit(service, actor, upload(service, actor)), None
    (first,) = service.round().assignments
    lost = service.store.put(f"{first.prefix}lost/output", b"1")
    service.work.release("wrk_1", [first.lease], reason="drain")
    carry_out(service)
    going_on = submit(service, actor, upload(service, actor))
    service.round()
    partial = service.store.put(f"ws_1/jobs/{going_on.id}/some/output", b"1")
    nobodys = service.store.put("ws_1/jobs/job_gone/output", b"1")
    foreign = service.store.put("ws_other/jobs/job_1/output", b"1")
    strange = service.store.put("ws_1/models/7", b"1")
    service.clock.advance(2 * DAY_S)
    assert retention.tick("wrk_1").blobs == 2
    kept = inputs_and_results(service)
    assert not {lost.key, nobodys.key} & kept
    done = service.jobs.read(ended.id, actor=actor)
    assert {partial.key, foreign.key, strange.key, done.result.key, done.dead_letters.key, ended.input.blob.key} < kept


def test_blobs_whose_deletion_failed_are_found_again(service, actor, retention):
    submit(service, actor, upload(service, actor))
    carry_out(service)
    service.clock.advance(31 * DAY_S)
    service.store.down = True
    with pytest.raises(BlobsUnavailable):
        retention.tick("wrk_1")
    assert count(service, jobs) == {"jobs": 0}
    assert len(inputs_and_results(service)) == 3
    service.store.down = False
    assert retention.tick("wrk_1").blobs == 3
    assert inputs_and_results(service) == set()


def test_a_sweep_that_met_an_outage_begins_again_soon(service, actor, retention):
    upload(service, actor)
    service.clock.advance(2 * DAY_S)
    service.store.down = True
    with pytest.raises(BlobsUnavailable):
        retention.tick("wrk_1")
    service.store.down = False
    assert retention.tick("wrk_1").blobs == 0
    service.clock.advance(601)
    assert retention.tick("wrk_1").blobs == 1


def test_the_sweep_goes_on_page_by_page_and_begins_again_after_a_day(service, actor, retention, monkeypatch):
    monkeypatch.setattr(limits, "SWEEP_BATCH", limits.Limit("sweep_batch", 2, "blobs", "a short page for the test"))
    for _ in range(5):
        upload(service, actor)
    service.clock.advance(2 * DAY_S)
    ticks = [retention.tick("wrk_1") for _ in range(4)]
    assert sum(tick.blobs for tick in ticks) == 5
    assert [tick.more for tick in ticks] == [True, True, True, False]  # with the script's code there are six
