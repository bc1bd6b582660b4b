"""Jobs, as people ask for them."""

import dataclasses

import pytest

from penstock.core.errors import Conflict, NotAllowed, NotFound, RequestInvalid, TooMany
from penstock.core.jobs import BlobPointer, JobFilter, Webhook
from penstock.database.schema import audit_events, runs
from tests.service import NOW, Service, account


@pytest.fixture
def service(fresh_database):
    return Service(fresh_database("sqlite"))


@pytest.fixture
def actor(service):
    return service.actor()


def test_an_accepted_job_waits_and_says_why(service, actor):
    job = service.submit(actor, labels={"team": "sales"})
    assert (job.state, job.version_number, job.script_name) == ("queued", "1.0.0", "clean")
    assert service.jobs.read(job.id, actor=actor) == job
    waiting = service.jobs.waiting(job.id, actor=actor)
    assert waiting is not None
    assert waiting.code == "no_worker"


def test_what_a_range_resolved_to_is_kept_with_what_was_asked(service, actor):
    job = service.submit(actor, version="^1.0")
    assert (job.asked, job.version_number) == ("^1.0", "1.0.0")


def test_an_unknown_script_or_version_is_refused_and_leaves_nothing(service, actor):
    with pytest.raises(NotFound):
        service.submit(actor, version="^2.0")
    with service.database.read() as tx:
        assert tx.execute(runs.select()).all() == []
        assert service.queue.depth(tx, actor.workspace).ready == 0


def test_the_same_key_and_body_give_the_same_job_once(service, actor):
    first = service.submit(actor, key="k-1")
    assert service.submit(actor, key="k-1").id == first.id
    with service.database.read() as tx:
        assert service.queue.depth(tx, actor.workspace).ready == 1


def test_the_same_key_with_another_body_is_a_conflict_that_names_the_job(service, actor):
    first = service.submit(actor, key="k-1")
    with pytest.raises(Conflict, match=first.id):
        service.submit(actor, b'{"a":2}\n', key="k-1")


def test_keys_of_two_workspaces_do_not_meet(service, actor):
    other = service.actor("ws_2")
    assert service.submit(actor, key="k-1").id != service.submit(other, key="k-1").id


def test_a_job_of_another_workspace_is_not_found(service, actor):
    job = service.submit(actor)
    other = service.actor("ws_2")
    for ask in (service.jobs.read, service.jobs.waiting, service.jobs.attempts, service.jobs.cancel):
        with pytest.raises(NotFound):
            ask(job.id, actor=other)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"priority": 101}, "options.priority"),
        ({"attempts_max": 0}, "options.attempts_max"),
        ({"labels": {str(n): "x" for n in range(17)}}, "options.labels"),
        ({"labels": {"team": "x" * 65}}, "options.labels.team"),
        ({"chunk_records": 0}, "options.chunk_records"),
        ({"deadline": 5.0}, "options.deadline"),
        ({"webhook": Webhook("ftp://example.com/", "signing")}, "options.webhook.url"),
        ({"webhook": Webhook("https://ann:word@example.com/", "signing")}, "options.webhook.url"),
        ({"webhook": Webhook("https://127.1/", "signing")}, "options.webhook.url"),
    ],
)
def test_an_option_out_of_its_range_is_refused_with_its_place(service, actor, options, place):
    with pytest.raises(RequestInvalid) as refused:
        service.submit(actor, **options)
    assert [problem["place"] for problem in refused.value.problems] == [place]


def test_a_submit_that_is_sent_again_after_its_deadline_gives_its_job(service, actor):
    deadline = service.clock() + 10
    first = service.submit(actor, key="k-1", deadline=deadline)
    service.clock.advance(20)
    assert service.submit(actor, key="k-1", deadline=deadline).id == first.id


def test_a_full_queue_says_when_to_come_back(service, actor):
    with service.database.read() as tx:
        usage = service.jobs.quotas.read(tx, actor.workspace)
    service.database.write(
        lambda tx: service.jobs.quotas.set_quotas(
            tx, actor.workspace, dataclasses.replace(usage.quotas, queued_jobs_max=2)
        )
    )
    service.submit(actor)
    service.submit(actor)
    with pytest.raises(TooMany) as refused:
        service.submit(actor)
    assert refused.value.retry_after_s is not None
    assert refused.value.retry_after_s > 0


def test_a_viewer_may_look_and_not_submit(service, actor):
    viewer = service.actor(role="viewer", name="vera")
    job = service.submit(actor)
    assert service.jobs.read(job.id, actor=viewer).id == job.id
    with pytest.raises(NotAllowed):
        service.submit(viewer)


def test_an_editor_cancels_their_own_jobs_and_not_those_of_others(service, actor):
    editor = service.actor(role="editor", name="ed")
    own, other = service.submit(editor), service.submit(actor)
    assert service.jobs.cancel(own.id, actor=editor).state == "cancelled"
    with pytest.raises(NotAllowed):
        service.jobs.cancel(other.id, actor=editor)


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(service, actor):
    job = service.submit(actor)
    assert service.jobs.cancel(job.id, actor=actor).state == "cancelled"
    assert service.round().assignments == ()
    with pytest.raises(Conflict, match="cancelled"):
        service.jobs.cancel(job.id, actor=actor)


def test_a_running_job_is_cancelled_when_its_worker_has_heard_of_it(service, actor):
    job = service.submit(actor)
    (assignment,) = service.round().assignments
    assert service.jobs.cancel(job.id, actor=actor).state == "running"
    held = service.work.heartbeat(service.state(), [assignment.lease])
    assert held.cancelled == {job.id}
    service.round(service.ended(assignment, outcome="cancelled"))
    assert service.jobs.read(job.id, actor=actor).state == "cancelled"


def test_lists_are_filtered_and_go_on_from_where_they_ended(service, actor):
    jobs = [service.submit(actor, labels={"n": str(n % 2)}) for n in range(5)]
    newest_first = [job.id for job in reversed(jobs)]
    first = service.jobs.list(JobFilter(limit=2), actor=actor)
    rest = service.jobs.list(JobFilter(before=first[-1].id), actor=actor)
    assert [job.id for job in first + rest] == newest_first
    odd = service.jobs.list(JobFilter(labels={"n": "1"}), actor=actor)
    assert [job.id for job in odd] == [jobs[3].id, jobs[1].id]
    assert service.jobs.list(JobFilter(state="failed"), actor=actor) == []
    assert service.jobs.list(JobFilter(labels={"n": "1"}), actor=service.actor("ws_2")) == []


def test_a_result_is_streamed_and_who_read_it_is_recorded(service, actor):
    job = service.submit(actor)
    with pytest.raises(Conflict, match="queued"):
        service.jobs.open_result(job.id, actor=actor)
    (assignment,) = service.round().assignments
    result = service.store.put(f"{assignment.prefix}result", b'{"a":1}\n')
    service.round(service.ended(assignment, output=result))
    pointer, blocks = service.jobs.open_result(job.id, actor=actor)
    assert (pointer, b"".join(blocks)) == (result, b'{"a":1}\n')
    with service.database.read() as tx:
        actions = [row.action for row in tx.execute(audit_events.select().order_by(audit_events.c.id))]
    assert actions == ["job.submit", "result.read", "result.read"]


def test_a_failed_job_is_retried_as_a_new_one_on_the_same_input_and_version(service, actor):
    job = service.submit(actor, priority=7)
    (assignment,) = service.round().assignments
    with pytest.raises(Conflict, match="running"):
        service.jobs.retry(job.id, actor=actor)
    service.round(service.ended(assignment, outcome="failed", error={"code": "script_failed"}))
    again = service.jobs.retry(job.id, actor=actor)
    assert (again.input, again.version, again.options.priority, again.replay_of) == (job.input, job.version, 7, job.id)


def test_dead_letters_are_replayed_as_the_input_of_a_new_job(service, actor):
    job = service.submit(actor)
    with pytest.raises(NotFound, match="no dead letters"):
        service.jobs.replay(job.id, actor=actor)
    (assignment,) = service.round().assignments
    letters = BlobPointer(f"{assignment.prefix}dead-letters", 9, "abc")
    service.round(service.ended(assignment, report=account(3, failed=1), dead_letters=letters))
    again = service.jobs.replay(job.id, actor=actor)
    assert (again.input.blob, again.input.format) == (letters, "dead-letters")


@pytest.mark.parametrize(
    ("times", "place", "words"),
    [
        ({"deadline": 100, "not_before": 100}, "options.deadline", "could never start"),
        ({"deadline": -60}, "options.deadline", "60 s ago"),
        ({"deadline": 367 * 86_400}, "options.deadline", "`ahead`"),
        ({"not_before": 8_000 * 366 * 86_400}, "options.not_before", "`ahead`"),
        ({"not_before": -2 * NOW}, "options.not_before", "1970"),
    ],
)
def test_times_at_which_a_job_could_not_start_are_refused(service, actor, times, place, words):
    with pytest.raises(RequestInvalid, match=words) as refused:
        service.submit(actor, **{name: NOW + seconds for name, seconds in times.items()})
    assert [problem["place"] for problem in refused.value.problems] == [place]


def test_a_start_that_has_passed_means_now(service, actor):
    assert service.submit(actor, not_before=NOW - 60, deadline=NOW + 60).state == "queued"


def test_a_webhook_that_cannot_be_sent_is_refused_unless_the_same_job_was_accepted_before(service, actor):
    hook = Webhook("https://example.com/hook", "signing")
    first = service.submit(actor, key="k-1", webhook=hook)
    problem = {"place": "options.webhook.secret", "message": "it is gone"}
    service.jobs = dataclasses.replace(service.jobs, webhook_problems=lambda _hook, _workspace: [problem])
    assert service.submit(actor, key="k-1", webhook=hook).id == first.id
    with pytest.raises(RequestInvalid, match="it is gone"):
        service.submit(actor, webhook=hook)


def test_whoever_wanted_to_be_told_is_told_of_a_cancelled_job_too(service, actor):
    job = service.submit(actor, webhook=Webhook("https://example.com/hook", "signing"))
    service.jobs.cancel(job.id, actor=actor)
    (assignment,) = service.round().assignments
    assert assignment.message is not None
    assert b'"job.cancelled"' in assignment.message.body
