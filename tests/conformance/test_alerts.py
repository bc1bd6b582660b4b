"""Incidents and alerts on both databases: one alert for each incident, not for each run; and nothing is sent twice."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from penstock.access.workspaces import SqlWorkspaces
from penstock.core.access import Actor, Policy, WorkspaceId, local_actor
from penstock.core.alerts import Alert, IncidentFilter
from penstock.core.errors import AlertRefused, DestinationUnavailable, NotFound
from penstock.core.jobs import BlobPointer
from penstock.core.plan import RunId, TaskName
from penstock.core.projects import Pipeline, PipelineName, Place, Project, Schedule
from penstock.core.run_views import View, show_incident
from penstock.core.runs import CheckResult, PipelineRun, Revision, RunTask, ScheduleState
from penstock.core.tables import SnapshotId, TableName
from penstock.database.opening import SqlDatabase
from penstock.storage.alert_records import SqlAlertRecords
from penstock.storage.attempt_records import SqlAttemptRecords
from penstock.storage.project_records import SqlProjectRecords
from penstock.storage.run_records import SqlRunRecords
from penstock.usecases.alerts import Alerts, Incidents
from tests.service import FakeClock

NIGHTLY = Schedule("0 2 * * *", timezone="America/New_York")
PLACE = Place("pipelines/sales.yml", 1, 1)
REVISION = "5f" * 32


@dataclass(slots=True)
class Told:
    """Keeps what is sent; fails as often as a test says."""

    sent: list[tuple[str, str, str]] = field(default_factory=list)
    failures: int = 0

    def send(self, url: str, alert: Alert, *, policy: Policy) -> None:
        if self.failures:
            self.failures -= 1
            raise DestinationUnavailable("the receiver of an alert cannot be reached", hint="It is tried again.")
        self.sent.append((url, alert.subject, alert.text))

    def subjects(self) -> list[str]:
        return [subject for _, subject, _ in self.sent]


class Secrets:
    """A SecretRecords with one secret."""

    def resolve(self, _tx: Any, _workspace: WorkspaceId, name: str) -> bytes:
        if name != "SLACK":
            raise NotFound(f"there is no secret {name!r}", hint="Make it.")
        return b"T1/B2/C3"


class Desk:
    """A workspace with a pipeline whose runs end as a test says, and somebody who is told."""

    def __init__(self, database: SqlDatabase) -> None:
        self.database, self.clock, self.told = database, FakeClock(at("2026-05-01T12:00")), Told()
        workspaces, self.records = SqlWorkspaces(self.clock), SqlAlertRecords()
        self.workspace = database.write(lambda tx: workspaces.create(tx, "shop")).id
        self.runs, self.projects = SqlRunRecords(), SqlProjectRecords()
        parts = self.records, self.runs, self.projects, workspaces, self.clock
        self.incidents = Incidents(database, *parts)
        self.project = Project(
            name="shop",
            revision=REVISION,
            pipelines={PipelineName("sales"): Pipeline(PipelineName("sales"), "", {}, PLACE, alerts=("team", "boss"))},
            connections={},
            pools={},
            alerts={"team": "slack://${secret:SLACK}/#data", "boss": "jsons://example.com/boss"},
        )
        secrets: Any = Secrets()
        self.alerts = Alerts(
            database, self.records, workspaces, secrets, self.told, lambda *_: self.project, self.clock, lambda: 0.0
        )
        self.count = 0

    def end(self, state: str, *, date: str | None = None, error: str | None = None, run: str = "", **more: Any) -> str:
        """Record a run that ends, and what it says."""
        self.count += 1
        task = RunTask(TaskName("clean"), "script", {}, state="failed" if error else "succeeded", error=_error(error))
        ended = PipelineRun(
            id=RunId(run or f"run_{self.count}"),
            workspace=self.workspace,
            project="shop",
            pipeline="sales",
            revision=more.pop("revision", REVISION),
            state=state,  # type: ignore[arg-type]  # one of its words
            trigger="schedule",
            created_at=self.clock(),
            created_by="mem_1",
            date=date,
            tasks=(task,),
            **more,
        )

        def note(tx: Any) -> None:
            if not run:
                queued = replace(ended, state="queued")
                self.runs.insert(tx, queued)
                self.runs.save(tx, queued, ended)
            self.incidents.note_end(tx, ended)

        self.database.write(note)
        return ended.id

    def check(self, run: str, *, success: bool) -> None:
        """Record the result of a suite."""
        verdict = {
            "success": success,
            "expectation_config": {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "customer"}},
        }
        result = CheckResult(
            run=RunId(run),
            task=TaskName("check"),
            table=TableName("marts.daily"),
            snapshot=SnapshotId(1),
            suite="expectations/daily.json",
            success=success,
            evaluated=3,
            failed=0 if success else 1,
            blocks=False,
            at=self.clock(),
            verdicts=[verdict],
        )
        self.database.write(lambda tx: SqlAttemptRecords().add_check(tx, self.workspace, result))

    def schedule(self, *, deadline: str, since: str) -> None:
        """Give the pipeline a schedule."""
        revision = Revision(
            self.workspace, "shop", REVISION, BlobPointer("k", 1, "s"), 1, self.clock(), "mem_1", active=True
        )
        state = ScheduleState(self.workspace, "shop", "sales", NIGHTLY, deadline=deadline)

        def deploy(tx: Any) -> None:
            self.projects.add_revision(tx, revision)
            self.projects.activate(tx, self.workspace, "shop", REVISION, by="mem_1", now=self.clock())
            self.projects.put_schedules(tx, self.workspace, "shop", [state], now=at(since))

        self.database.write(deploy)

    def tell(self) -> list[str]:
        """Send what is due, and return the subjects of what boss has heard so far."""
        self.alerts.send_due()  # finds out to whom
        self.alerts.send_due()
        return [subject for url, subject, _ in self.told.sent if url.startswith("jsons")]

    def kinds(self, *, open_only: bool = True) -> list[str]:
        found = self.incidents.list(IncidentFilter(over=False if open_only else None), actor=self.actor)
        return [incident.kind for incident, _ in found]

    def shown(self, **wanted: Any) -> list[View]:
        """Return incidents as people see them."""
        return [show_incident(*each) for each in self.incidents.list(IncidentFilter(**wanted), actor=self.actor)]

    @property
    def actor(self) -> Actor:
        return local_actor(self.workspace)


def at(text: str) -> float:
    return dt.datetime.fromisoformat(f"{text}-04:00").timestamp()  # New York in summer


def _error(code: str | None) -> dict[str, str] | None:
    return None if code is None else {"code": code, "message": "the script failed on line 3", "hint": "Look."}


@pytest.fixture
def desk(fresh_database) -> Desk:
    """On the quicker database, for what is decided before it is asked."""
    return Desk(fresh_database("sqlite"))


@pytest.fixture
def each_desk(database) -> Desk:
    return Desk(database)


def test_a_failure_is_told_to_everybody_whom_the_pipeline_names(desk):
    desk.end("failed", date="2026-05-01", error="script_failed")
    assert desk.tell() == ["shop/sales failed (2026-05-01)"]
    urls = {url for url, _, _ in desk.told.sent}
    assert urls == {"slack://T1/B2/C3/#data", "jsons://example.com/boss"}
    text = desk.told.sent[0][2]
    assert text.splitlines() == [
        f"pipeline: shop/sales, revision {REVISION[:12]}",
        "run: run_1 of 2026-05-01",
        "task: clean (script)",
        "error: the script failed on line 3 [script_failed]",
        "nothing of it is published",
        "",
        "look:  penstock status run_1 --server",
        "       penstock logs run_1 --server",
        "then:  penstock resume run_1 --server",
    ]


def test_an_incident_is_told_once_however_many_runs_show_it(each_desk):
    desk = each_desk
    for day in ("2026-05-01", "2026-05-02", "2026-05-03"):
        desk.end("failed", date=day, error="script_failed")
    assert desk.tell() == ["shop/sales failed (2026-05-01)"]
    [incident] = desk.shown()
    assert (incident["kind"], incident["runs"], incident["closed_at"]) == ("failed", 3, None)


def test_a_recovery_is_told_once(desk):
    desk.end("failed", date="2026-05-01", error="script_failed")
    desk.end("succeeded", date="2026-05-02")
    desk.end("succeeded", date="2026-05-03")
    assert desk.tell() == ["shop/sales failed (2026-05-01)", "shop/sales has recovered"]
    assert desk.kinds() == []


def test_a_run_that_is_resumed_recovers_its_own_incident(desk):
    run = desk.end("failed", date="2026-05-01", error="script_failed")
    desk.end("succeeded", date="2026-05-01", run=run)
    assert desk.tell()[-1] == "shop/sales has recovered"


def test_a_success_of_an_older_date_mends_nothing(desk):
    desk.end("failed", date="2026-05-01", error="script_failed")
    desk.end("succeeded", date="2025-05-01")
    assert desk.kinds() == ["failed"]


def test_a_run_that_was_cancelled_says_nothing(desk):
    desk.end("cancelled", date="2026-05-01", error="stopped")
    assert (desk.kinds(), desk.tell()) == ([], [])


def test_a_check_that_blocks_is_an_incident_of_its_own_kind(desk):
    desk.check("run_1", success=False)
    desk.end("failed", date="2026-05-01", error="check_failed")
    assert desk.tell() == ["shop/sales failed a check (2026-05-01)"]
    expected = (
        "check: expectations/daily.json on marts.daily, 1 of 3 not met: expect_column_values_to_not_be_null (customer)"
    )
    assert expected in desk.told.sent[0][2]


def test_a_check_that_only_warns_is_told_though_the_run_succeeded(desk):
    desk.check("run_1", success=False)
    desk.end("succeeded", date="2026-05-01", published_at=desk.clock())
    assert desk.tell() == ["shop/sales failed a check (2026-05-01)"]
    desk.check("run_2", success=True)
    desk.end("succeeded", date="2026-05-02")
    assert desk.tell()[-1] == "shop/sales has recovered"


def test_of_a_check_that_was_tried_again_the_last_result_counts(desk):
    desk.check("run_1", success=False)
    desk.clock.advance(1)
    desk.check("run_1", success=True)
    desk.end("succeeded", date="2026-05-01")
    assert desk.kinds() == []


def test_a_run_that_nobody_made_is_late_at_its_deadline_and_told_once(each_desk):
    desk = each_desk
    desk.schedule(deadline="04:00", since="2026-05-01T12:00")
    desk.clock.now = at("2026-05-02T03:59")
    assert desk.incidents.look_for_late() == 0
    desk.clock.now = at("2026-05-02T04:00")
    assert [desk.incidents.look_for_late() for _ in range(3)] == [1, 0, 0]
    assert desk.tell() == ["shop/sales is late (2026-05-02)"]
    assert "deadline: 04:00 America/New_York; no run has been made for that date" in desk.told.sent[0][2]
    desk.end("succeeded", date="2026-05-02", published_at=desk.clock())
    assert desk.tell()[-1] == "shop/sales has recovered"
    assert desk.incidents.look_for_late() == 0


def test_a_run_that_is_published_in_time_is_not_late(desk):
    desk.schedule(deadline="04:00", since="2026-05-01T12:00")
    desk.end("failed", date="2026-05-02", error="export_failed", published_at=at("2026-05-02T03:00"))
    desk.clock.now = at("2026-05-02T05:00")
    assert desk.incidents.look_for_late() == 0


def test_what_cannot_be_sent_is_tried_again_later_and_given_up_at_last(each_desk):
    desk = each_desk
    desk.end("failed", date="2026-05-01", error="script_failed")
    desk.alerts.send_due()
    desk.told.failures = 2
    assert desk.alerts.send_due() == 0
    assert desk.alerts.send_due() == 0  # it is not due
    desk.clock.advance(1)
    assert desk.alerts.send_due() == 2
    desk.told.failures = 1_000
    desk.end("succeeded", date="2026-05-02")
    for _ in range(30):
        desk.alerts.send_due()
        desk.clock.advance(600)
    with desk.database.read() as tx:
        rows = tx.exec_driver_sql(
            "SELECT state, attempts, last_error FROM alert_deliveries WHERE target <> '' AND state <> 'sent'"
        ).all()
    assert [tuple(row) for row in rows] == [
        ("failed", 16, "the receiver of an alert cannot be reached") for _ in range(2)
    ]


def test_two_senders_send_an_alert_once(each_desk):
    desk = each_desk
    desk.end("failed", date="2026-05-01", error="script_failed")
    desk.alerts.send_due()
    with desk.database.read() as tx:
        seen = desk.records.due(tx, now=desk.clock(), limit=10)
    desk.alerts.send_due()
    assert len(desk.told.sent) == 2
    assert [desk.database.write(lambda tx, one=one: desk.records.claim(tx, one, until=9e9)) for one in seen] == [
        False
    ] * 2


def test_a_test_says_that_nothing_has_happened(desk):
    desk.alerts.test(desk.project, "team", actor=local_actor(desk.workspace))
    assert desk.told.sent[0][:2] == ("slack://T1/B2/C3/#data", "shop: a test of alerts")
    with pytest.raises(NotFound, match="the project has no alerts for 'tem'"):
        desk.alerts.test(desk.project, "tem", actor=local_actor(desk.workspace))


def test_incidents_that_were_over_long_ago_are_removed_with_their_alerts(each_desk):
    desk = each_desk
    desk.end("failed", date="2026-05-01", error="script_failed")
    desk.end("succeeded", date="2026-05-02")
    desk.tell()
    desk.clock.advance(91 * 86_400)
    assert desk.incidents.forget() == 1
    with desk.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM alert_deliveries").scalar_one() == 0


def test_a_list_says_what_is_wrong_since_when_and_whom_it_was_told(each_desk):
    desk = each_desk
    desk.end("failed", date="2026-05-01", error="script_failed")
    assert [(each["telling"], [told["to"] for told in each["told"]]) for each in desk.shown()] == [("waiting", [None])]
    desk.tell()
    desk.clock.advance(60)
    desk.end("succeeded", date="2026-05-02")
    desk.told.failures = 1
    desk.tell()
    desk.clock.advance(60)
    desk.end("failed", date="2026-05-03", error="script_failed")
    newest, first = desk.shown()
    assert (newest["state"], newest["opened_at"], newest["run"], newest["telling"]) == (
        "open",
        "2026-05-01T16:02:00.000Z",
        "run_3",
        "waiting",
    )
    assert (first["state"], first["closed_at"], first["closed_by"], first["runs"]) == (
        "closed",
        "2026-05-01T16:01:00.000Z",
        "run_2",
        1,
    )
    assert sorted((told["of"], told["to"], told["state"]) for told in first["told"]) == [
        ("begin", "boss", "sent"),
        ("begin", "team", "sent"),
        ("end", "boss", "sent"),
        ("end", "team", "waiting"),
    ]
    [waits] = [told for told in first["told"] if told["state"] == "waiting"]
    assert (waits["attempts"], waits["error"]) == (1, "the receiver of an alert cannot be reached")
    assert [each["id"] for each in desk.shown(over=True)] == [first["id"]]
    assert [each["id"] for each in desk.shown(over=False, project="shop", pipeline="sales")] == [newest["id"]]
    assert [each["id"] for each in desk.shown(before=newest["id"], limit=5)] == [first["id"]]
    assert desk.shown(project="other") == []
    assert show_incident(*desk.incidents.read(first["id"], actor=desk.actor)) == first
    with pytest.raises(NotFound):
        desk.incidents.read(first["id"], actor=local_actor(WorkspaceId("ws_other")))
    assert desk.incidents.list(IncidentFilter(), actor=local_actor(WorkspaceId("ws_other"))) == []


def test_who_cannot_be_told_is_said_and_so_is_a_pipeline_that_names_nobody(desk):
    desk.told.failures = 10_000
    desk.end("failed", date="2026-05-01", error="script_failed")
    for _ in range(30):
        desk.alerts.send_due()
        desk.clock.advance(600)
    assert [each["telling"] for each in desk.shown()] == ["failed"]
    desk.end("succeeded", date="2026-05-02")
    nobody = replace(desk.project.pipelines[PipelineName("sales")], alerts=())
    desk.project = replace(desk.project, pipelines={PipelineName("sales"): nobody})
    desk.end("failed", date="2026-05-03", error="script_failed")
    desk.alerts.send_due()
    assert [(each["telling"], each["told"]) for each in desk.shown(over=False)] == [("nobody", [])]


def test_an_incident_is_told_to_those_who_are_named_after_it_began(desk):
    pipeline = desk.project.pipelines[PipelineName("sales")]
    desk.project = replace(desk.project, pipelines={PipelineName("sales"): replace(pipeline, alerts=())})
    for day in ("2026-05-01", "2026-05-02"):
        desk.end("failed", date=day, error="script_failed")
        assert desk.tell() == []
    desk.project = replace(desk.project, pipelines={PipelineName("sales"): pipeline})
    for day in ("2026-05-03", "2026-05-04"):
        desk.end("failed", date=day, error="script_failed", revision="2" * 64)
        assert desk.tell() == ["shop/sales failed (2026-05-01)"], "and once"


def test_a_receiver_that_repeats_a_secret_does_not_bring_it_into_the_record(desk):
    class Repeating(Told):
        def send(self, url: str, alert: Alert, *, policy: Policy) -> None:
            raise AlertRefused(f"no such channel: {url} (T1/B2/C3)", hint="Look.")

    desk.end("failed", date="2026-05-01", error="script_failed")
    alerts = replace(desk.alerts, sender=Repeating())
    alerts.send_due()
    alerts.send_due()
    errors = {told["error"] for incident in desk.shown() for told in incident["told"]}
    assert errors == {
        "no such channel: slack://***/#data (***)",
        "no such channel: jsons://example.com/boss (T1/B2/C3)",  # which is none of its secrets
    }


def test_a_refusal_is_recorded_without_the_url(desk):
    class Refusing(Told):
        def send(self, url: str, alert: Alert, *, policy: Policy) -> None:
            raise AlertRefused("the receiver does not take the alert: 403", hint="Look.")

    desk.end("failed", date="2026-05-01", error="script_failed")
    alerts = replace(desk.alerts, sender=Refusing())
    alerts.send_due()
    alerts.send_due()
    with desk.database.read() as tx:
        rows = tx.exec_driver_sql("SELECT last_error FROM alert_deliveries WHERE target <> ''").all()
    assert {row[0] for row in rows} == {"the receiver does not take the alert: 403"}
