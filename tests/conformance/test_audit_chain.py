"""The chain of audit events, and everything that somebody who holds the database may do to it."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy.exc import DBAPIError

from penstock.access import chain as chain_module
from penstock.access.chain import GENESIS
from penstock.core import limits
from penstock.core.access import AuditEvent, AuditFilter
from penstock.core.errors import NotAllowed
from tests.people import People, on_sqlite
from tests.servers import KINDS

EVENTS = 6  # two of them from making the workspace and logging in


@pytest.fixture(params=KINDS)
def people(request, fresh_database):
    return People(fresh_database(request.param))


@pytest.fixture
def admin(people):
    return people.admin()


@pytest.fixture
def sealed(people, admin):
    """The admin of a workspace with six sealed events."""
    for number in range(EVENTS - 2):
        record(people, admin, f"job_{number}")
    assert people.access.audit_log.seal() == EVENTS
    return admin


def record(people, actor, subject, **details):
    event = AuditEvent("job.submit", subject, details=details)
    people.database.write(lambda tx: people.access.audit.record(tx, actor, event))


def verify(people, actor, **options):
    chain = people.access.audit_log.chain
    with people.database.read() as tx:
        return chain.verify(tx, actor.workspace, **options)


def tamper(people, *statements):
    """Do what only somebody can who may also take the triggers away."""
    drops = (
        ["DROP TRIGGER audit_events_append_only_update", "DROP TRIGGER audit_events_append_only_delete"]
        if people.database.dialect == "sqlite"
        else ["DROP TRIGGER audit_events_append_only ON audit_events"]
    )
    people.execute(*drops, *statements)


def test_new_events_are_sealed_in_order(people, sealed):
    report = verify(people, sealed)
    assert (report.whole, report.complete, report.number, report.unsealed) == (True, True, EVENTS, 0)
    numbers = people.rows("SELECT number FROM audit_events ORDER BY id")
    assert [row[0] for row in numbers] == list(range(1, EVENTS + 1))
    record(people, sealed, "job_9")
    assert verify(people, sealed).unsealed == 1
    assert people.access.audit_log.seal() == 1
    assert verify(people, sealed).number == EVENTS + 1
    assert people.access.audit_log.seal() == 0


def test_each_workspace_has_a_chain_of_its_own(people, sealed):
    other = people.admin("other")
    record(people, sealed, "job_9")
    people.access.audit_log.seal()
    assert verify(people, sealed).number == EVENTS + 1
    assert verify(people, other).number == 2


@on_sqlite
def test_an_empty_chain_is_whole(people):
    workspace, _ = people.access.workspaces.create("acme", admin="ada")
    with people.database.read() as tx:
        report = people.access.audit_log.chain.verify(tx, workspace.id)
    assert (report.whole, report.number, report.head, report.unsealed) == (True, 0, GENESIS, 1)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_events SET subject = 'job_x' WHERE number = 3", "DELETE FROM audit_events WHERE number = 3"],
)
def test_the_table_can_only_be_added_to(people, sealed, statement):
    with pytest.raises(DBAPIError, match="never"):
        people.execute(statement)


@on_sqlite
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "1790000000.5"),
        ("actor", "'mem_x'"),
        ("actor_name", "'eve'"),
        ("action", "'job.read'"),
        ("subject", "'job_x'"),
        ("outcome", "'refused'"),
        ("origin", "'10.0.0.1'"),
        ("request_id", "'req_2'"),
        ("details", "NULL"),
        ("details", "'{}'"),
        ("hash", f"'{'0' * 64}'"),
    ],
)
def test_a_changed_event_is_named(people, sealed, column, value):
    tamper(people, f"UPDATE audit_events SET {column} = {value} WHERE number = 3")
    problems = verify(people, sealed).problems
    assert problems[0][0] == 3
    assert "changed" in problems[0][1]


@on_sqlite
def test_a_removed_event_is_named(people, sealed):
    tamper(people, "DELETE FROM audit_events WHERE number = 4")
    assert verify(people, sealed).problems[0] == (4, "is missing")


def test_several_removed_events_are_named(people, sealed):
    tamper(people, "DELETE FROM audit_events WHERE number IN (2, 3, 4)")
    assert verify(people, sealed).problems[0] == (2, "is missing, with all up to 4")


@on_sqlite
def test_the_first_and_the_newest_are_missed_too(people, sealed):
    tamper(people, "DELETE FROM audit_events WHERE number IN (1, 6)")
    numbers = {number for number, _ in verify(people, sealed).problems}
    assert {1, 6} <= numbers


def test_events_that_change_places_are_named(people, sealed):
    tamper(
        people,
        "UPDATE audit_events SET number = -1 WHERE number = 2",
        "UPDATE audit_events SET number = 2 WHERE number = 3",
        "UPDATE audit_events SET number = 3 WHERE number = -1",
    )
    assert {2, 3} <= {number for number, _ in verify(people, sealed).problems}


COLUMNS = "workspace, at, actor, actor_name, action, subject, outcome, origin, request_id, details"


@on_sqlite
@pytest.mark.parametrize("number", [-5, 0, 7, 9])
def test_an_event_that_was_put_in_is_found(people, sealed, number):
    people.execute(
        f"INSERT INTO audit_events ({COLUMNS}, number, hash)"
        f" SELECT {COLUMNS}, {number}, hash FROM audit_events WHERE number = 6"
    )
    assert not verify(people, sealed).whole


def forge(people, actor, *, number, subject):
    """Return the hash that the event after number - 1 would have, by its subject."""
    row = people.access.audit_log.list(AuditFilter(limit=1), actor=actor)[0]
    before = people.rows(f"SELECT hash FROM audit_events WHERE number = {number - 1}")[0][0]
    details = people.rows(f"SELECT details FROM audit_events WHERE id = {row.id}")[0][0]
    values = {name: getattr(row, name) for name in chain_module._HASHED}
    return chain_module._hash(before, {**values, "details": details, "number": number, "subject": subject})


@on_sqlite
def test_an_event_with_the_right_hash_after_the_last_is_found(people, sealed):
    hash_ = forge(people, sealed, number=EVENTS + 1, subject="job_x")
    columns = COLUMNS.replace("subject", "'job_x'")
    people.execute(
        f"INSERT INTO audit_events ({COLUMNS}, number, hash)"
        f" SELECT {columns}, 7, '{hash_}' FROM audit_events WHERE number = 6"
    )
    assert verify(people, sealed).problems == ((7, "was added after the last that was sealed"),)


@on_sqlite
def test_a_last_event_that_is_made_anew_with_the_right_hash_is_found(people, sealed):
    hash_ = forge(people, sealed, number=EVENTS, subject="job_x")
    tamper(people, f"UPDATE audit_events SET subject = 'job_x', hash = '{hash_}' WHERE number = 6")
    assert verify(people, sealed).problems == ((6, "is the last, but not the one that was sealed last"),)


@on_sqlite
def test_whoever_makes_the_chain_anew_is_told_by_a_head_that_was_noted(people, sealed):
    noted = verify(people, sealed)
    tamper(
        people,
        "UPDATE audit_events SET number = NULL, hash = NULL",
        "DELETE FROM audit_heads",
        "UPDATE audit_events SET subject = 'job_x' WHERE subject = 'job_0'",
    )
    people.access.audit_log.seal()
    assert verify(people, sealed).whole  # by itself it looks whole
    known = (noted.number, noted.head)
    assert [number for number, _ in verify(people, sealed, known=known).problems] == [noted.number]


@on_sqlite
def test_a_noted_head_that_is_gone_is_missed(people, sealed):
    noted = verify(people, sealed)
    tamper(people, "DELETE FROM audit_events", "DELETE FROM audit_heads")
    assert verify(people, sealed, known=(noted.number, noted.head)).problems == ((6, "was noted, but is missing"),)


@on_sqlite
def test_a_long_chain_is_checked_in_stretches(people, sealed, monkeypatch):
    monkeypatch.setattr(chain_module, "_PAGE", 2)
    monkeypatch.setattr(limits, "VERIFY_BATCH", limits.Limit("x", 4, "events", "a test"))
    tamper(people, "UPDATE audit_events SET subject = 'x' WHERE number = 5")
    first = verify(people, sealed)
    assert (first.complete, first.number, first.whole) == (False, 4, True)
    rest = verify(people, sealed, start=(first.number, first.head))
    assert (rest.complete, [number for number, _ in rest.problems]) == (True, [5])


def test_details_of_every_kind_survive_the_database(people, admin):
    record(people, admin, "j", text='é "quoted"\n\u0000 snow☃', number=2**53, share=0.1, none=None, yes=True)
    people.access.audit_log.seal()
    assert verify(people, admin).whole
    row = people.access.audit_log.list(AuditFilter(subject="j"), actor=admin)[0]
    assert row.details["text"] == 'é "quoted"\n\u0000 snow☃'
    assert row.details["key"] == admin.key


def test_two_sealers_at_once_give_every_event_one_place(people, admin):
    for number in range(100):
        record(people, admin, f"job_{number}")
    threads = [threading.Thread(target=people.access.audit_log.seal) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify(people, admin)
    assert (report.whole, report.number, report.unsealed) == (True, 102, 0)


def test_events_are_listed_newest_first_by_what_is_wanted(people, sealed):
    log = people.access.audit_log
    subjects = [row.subject for row in log.list(AuditFilter(action="job.submit", limit=2), actor=sealed)]
    assert subjects == ["job_3", "job_2"]
    assert [row.subject for row in log.list(AuditFilter(subject="job_1"), actor=sealed)] == ["job_1"]
    assert log.list(AuditFilter(until=people.clock()), actor=sealed) == []
    assert log.list(AuditFilter(outcome="refused"), actor=sealed) == []
    assert log.list(AuditFilter(member="mem_x"), actor=sealed) == []


@on_sqlite
def test_reading_the_log_is_an_event_and_needs_leave(people, sealed):
    people.access.audit_log.list(AuditFilter(), actor=sealed)
    people.access.audit_log.verify(actor=sealed)
    assert people.actions()[-2:] == ["audit.read", "audit.verify"]
    ben = people.member(sealed, "ben", role="operator")
    with pytest.raises(NotAllowed):
        people.access.audit_log.list(AuditFilter(), actor=ben)
    with pytest.raises(NotAllowed):
        people.access.audit_log.verify(actor=ben)


@on_sqlite
def test_one_workspace_does_not_see_the_events_of_another(people, sealed):
    other = people.admin("other")
    rows = people.access.audit_log.list(AuditFilter(), actor=other)
    assert {row.workspace for row in rows} == {other.workspace}


@on_sqlite
def test_refusals_past_a_bound_are_counted_instead_of_written(people, admin):
    event = AuditEvent("request.refuse", "req_1", "refused", {"code": "not_allowed"})
    for _ in range(200):
        people.access.audit_log.refused(admin, event)
    noted = people.actions().count("request.refuse")
    assert 10 <= noted <= 40  # 10 in each second that this took
    people.access.audit_log._refusals.second = 0
    people.access.audit_log.refused(admin, event)
    last = people.access.audit_log.list(AuditFilter(action="request.refuse", limit=1), actor=admin)[0]
    assert last.details["left_out"] > 0
