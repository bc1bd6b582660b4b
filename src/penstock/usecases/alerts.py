"""Telling people of incidents: what the end of a run says, runs that are late, and alerts on their way.

A run's end records what is to be told in the same transaction. Sending comes later and outside of one, by whichever
worker takes the alert first; what cannot be sent is tried again with growing pauses.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from penstock.base.ids import new_id
from penstock.base.nearest import nearest
from penstock.core import limits
from penstock.core.access import Actor, Policy, WorkspaceId
from penstock.core.alerts import (
    Alert,
    Delivery,
    Incident,
    IncidentFilter,
    IncidentId,
    IncidentKind,
    is_to_be_told,
    judge_end,
    without_secrets,
    words_of_end,
    words_of_lateness,
    words_of_recovery,
    words_of_test,
)
from penstock.core.errors import NotFound, PenstockError
from penstock.core.ports.access import SecretRecords, WorkspaceRecords
from penstock.core.ports.alerts import AlertRecords, AlertSender
from penstock.core.ports.runs import ProjectRecords, RunRecords
from penstock.core.ports.service import Clock, Database
from penstock.core.projects import PipelineName, Project
from penstock.core.runs import CheckResult, PipelineRun, ScheduleState
from penstock.planning.schedules import Occasion, overdue
from penstock.usecases.permissions import require

_SECRET: Final = re.compile(r"\$\{secret:([^}]*)\}")
_DAY_S: Final = 86_400.0
_CHECKS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Incidents:
    """What runs and clocks say of pipelines; everything here happens in transactions, nothing is sent."""

    database: Database
    records: AlertRecords
    runs: RunRecords
    projects: ProjectRecords
    workspaces: WorkspaceRecords
    clock: Clock

    def note_end(self, tx: Any, run: PipelineRun) -> None:
        """Record what the end of a run says of its pipeline, and whom to tell; in the transaction that ends it."""
        checks = _latest(self.runs.checks(tx, run.workspace, run=run.id, table=None, limit=_CHECKS_MAX))
        known = self.records.open_incidents(tx, run.workspace, run.project, run.pipeline)
        judged = judge_end(run, checks=checks, open_incidents=known)
        if judged.shows is not None:
            incident = self._incident(judged.shows, run)
            if not self.records.open(tx, incident) and judged.again is not None:
                incident = replace(judged.again, revision=run.revision)
            if is_to_be_told(self.records.deliveries(tx, run.workspace, [incident.id]), run.revision):
                self._tell(tx, incident, words_of_end(incident, run, checks=checks))
        if judged.closes:
            self.records.close(tx, judged.closes, by=run.id, now=self.clock())
            newest = replace(judged.closes[-1], revision=run.revision)
            self._tell(tx, newest, words_of_recovery(judged.closes, run))

    def look_for_late(self) -> int:
        """Record runs that are not published by their deadline; return how many. To be called every few seconds."""
        with self.database.read() as tx:
            states = [
                state
                for workspace in self.workspaces.list(tx)
                for state in self.projects.schedules(tx, workspace.id)
                if state.deadline is not None and not (state.paused or state.schedule.paused)
            ]
        return sum(self._look_at(state) for state in states)

    def forget(self) -> int:
        """Remove incidents that were over long ago; return how many."""
        before = self.clock() - limits.INCIDENTS_KEPT.value * _DAY_S
        return self.database.write(lambda tx: self.records.forget(tx, before=before, limit=limits.ALERT_BATCH.value))

    def list(self, wanted: IncidentFilter, *, actor: Actor) -> Sequence[tuple[Incident, Sequence[Delivery]]]:
        """Return incidents, the newest first, each with what people were told of it.

        Raises:
            NotAllowed: without `pipelines:read`.
        """
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            found = self.records.incidents(tx, actor.workspace, wanted)
            told = self.records.deliveries(tx, actor.workspace, [incident.id for incident in found])
        return [(incident, [each for each in told if each.incident == incident.id]) for incident in found]

    def read(self, incident: str, *, actor: Actor) -> tuple[Incident, Sequence[Delivery]]:
        """Return an incident with what people were told of it.

        Raises:
            NotAllowed: without `pipelines:read`.
            NotFound: when the workspace has none under that id.
        """
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            found = self.records.incident(tx, actor.workspace, incident)
            return found, self.records.deliveries(tx, actor.workspace, [found.id])

    def _look_at(self, state: ScheduleState) -> int:
        late = overdue(state.schedule, deadline=state.deadline or "", since=state.since, now=self.clock())
        if late is None:
            return 0
        of = (state.workspace, state.project, state.pipeline)
        with self.database.read() as tx:
            known = any(incident.kind == "late" for incident in self.records.open_incidents(tx, *of))
            if known or self.records.published(tx, *of, date=late.date):
                return 0
        return int(self.database.write(lambda tx: self._open_late(tx, state, late)))

    def _open_late(self, tx: Any, state: ScheduleState, late: Occasion) -> bool:
        of = (state.workspace, state.project, state.pipeline)
        if self.records.published(tx, *of, date=late.date):
            return False
        run, revision = self.records.latest_run(tx, *of, date=late.date) or (None, "")
        revision = revision or self.projects.revision(tx, state.workspace, state.project).revision
        incident = Incident(
            id=IncidentId(new_id("inc")),
            workspace=state.workspace,
            project=state.project,
            pipeline=state.pipeline,
            kind="late",
            opened_at=self.clock(),
            revision=revision,
            run=run,
            date=late.date,
        )
        opened = self.records.open(tx, incident)
        if opened:
            words = words_of_lateness(incident, deadline=state.deadline or "", timezone=state.schedule.timezone)
            self._tell(tx, incident, words)
        return opened

    def _incident(self, kind: IncidentKind, run: PipelineRun) -> Incident:
        return Incident(
            id=IncidentId(new_id("inc")),
            workspace=run.workspace,
            project=run.project,
            pipeline=run.pipeline,
            kind=kind,
            opened_at=self.clock(),
            revision=run.revision,
            run=run.id,
            date=run.date,
        )

    def _tell(self, tx: Any, incident: Incident, alert: Alert) -> None:
        now = self.clock()
        self.records.add(
            tx,
            [
                Delivery(
                    id=new_id("alr"),
                    workspace=incident.workspace,
                    project=incident.project,
                    pipeline=incident.pipeline,
                    revision=incident.revision,
                    incident=incident.id,
                    alert=alert,
                    created_at=now,
                    due_at=now,
                )
            ],
        )


@dataclass(frozen=True, slots=True)
class Alerts:
    """Brings alerts to those whom a pipeline names.

    Attributes:
        load: from a workspace, a project and a revision to the project, checked.
        chance: from 0 to 1, for pauses.
    """

    database: Database
    records: AlertRecords
    workspaces: WorkspaceRecords
    secrets: SecretRecords
    sender: AlertSender
    load: Callable[[WorkspaceId, str, str], Project]
    clock: Clock
    chance: Callable[[], float] = field(default=random.random)

    def send_due(self) -> int:
        """Send what is due; return how much was sent. To be called every few seconds, by every worker."""
        with self.database.read() as tx:
            waiting = self.records.due(tx, now=self.clock(), limit=limits.ALERT_BATCH.value)
        return sum(self._attend(delivery) for delivery in waiting)

    def test(self, project: Project, name: str, *, actor: Actor) -> None:
        """Send a test to one of a project's names.

        Raises:
            NotAllowed: without `pipelines:run`.
            NotFound: when the project has no such name, or a secret is not there.
            AlertRefused: when the URL is not understood, or the receiver refuses it.
            EgressRefused: when it may not be reached.
            DestinationUnavailable: when it cannot be reached now.
        """
        require(actor, "pipelines:run")
        self._send(actor.workspace, project, name, words_of_test(project.name, name))

    def _attend(self, delivery: Delivery) -> int:
        """Send one alert, or find out to whom it goes; what goes wrong is recorded, and tried again."""
        claimed_until = self.clock() + 2 * limits.ALERT_WAIT.value
        if not self.database.write(lambda tx: self.records.claim(tx, delivery, until=claimed_until)):
            return 0
        try:
            project = self.load(delivery.workspace, delivery.project, delivery.revision)
            if delivery.target:
                self._send(delivery.workspace, project, delivery.target, delivery.alert)
        except PenstockError as error:
            self._save(_put_off(delivery, str(error), now=self.clock(), chance=self.chance()))
            return 0
        done = replace(delivery, state="sent", sent_at=self.clock(), attempts=delivery.attempts + 1)
        self._save(done, () if delivery.target else _one_each(delivery, project, now=self.clock()))
        return 1 if delivery.target else 0

    def _send(self, workspace: WorkspaceId, project: Project, name: str, alert: Alert) -> None:
        used: list[str] = []

        def secret(name: str) -> str:
            used.append(self._secret(workspace, name))
            return used[-1]

        url = url_of(project, name, secrets=secret)
        with self.database.read() as tx:
            policy = self.workspaces.get(tx, workspace).policy
        try:
            self.sender.send(url, alert, policy=policy)
        except PenstockError as error:  # its words are kept, and shown to all members
            error.message = without_secrets(error.message, used)
            error.args = (error.message,)
            raise

    def _secret(self, workspace: WorkspaceId, name: str) -> str:
        with self.database.read() as tx:
            return self.secrets.resolve(tx, workspace, name).decode()

    def _save(self, delivery: Delivery, more: Sequence[Delivery] = ()) -> None:
        def save(tx: Any) -> None:
            self.records.save(tx, delivery)
            self.records.add(tx, more)

        self.database.write(save)


def try_alert(project: Project, name: str, *, sender: AlertSender, secrets: Callable[[str], str]) -> None:
    """Send a test from a person's own machine, which may reach whatever that person may.

    Raises:
        NotFound: when the project has no such name, or a secret is not there.
        AlertRefused: when the URL is not understood, or the receiver refuses it.
        DestinationUnavailable: when it cannot be reached now.
    """
    url = url_of(project, name, secrets=secrets)
    sender.send(url, words_of_test(project.name, name), policy=Policy(egress=("0.0.0.0/0", "::/0")))


def url_of(project: Project, name: str, *, secrets: Callable[[str], str]) -> str:
    """Return where alerts of a name go, with the secrets in their places.

    Raises:
        NotFound: when the project has no such name, or a secret is not there.
    """
    if name not in project.alerts:
        raise NotFound(f"the project has no alerts for {name!r}", hint=f"{nearest(name, project.alerts)}")
    return _SECRET.sub(lambda found: secrets(found[1]), project.alerts[name])


def _latest(checks: Iterable[CheckResult]) -> Sequence[CheckResult]:
    """Return the last result of each suite on each table: a task that was tried again has several."""
    found: Mapping[Any, CheckResult] = {
        (check.task, check.table, check.suite): check for check in sorted(checks, key=lambda check: check.at)
    }
    return list(found.values())


def _one_each(delivery: Delivery, project: Project, *, now: float) -> Sequence[Delivery]:
    """Return the alert once for each of those whom the pipeline names."""
    pipeline = project.pipelines.get(PipelineName(delivery.pipeline))
    names = pipeline.alerts if pipeline is not None else ()
    return [replace(delivery, id=new_id("alr"), target=name, due_at=now, attempts=0) for name in names]


def _put_off(delivery: Delivery, why: str, *, now: float, chance: float) -> Delivery:
    """Return an alert that could not be sent: for later, or given up."""
    attempts = delivery.attempts + 1
    most_s = min(limits.BACK_OFF_MOST.value, limits.BACK_OFF_FIRST.value * 2.0 ** (attempts - 1))
    given_up = attempts >= limits.ALERT_ATTEMPTS.value
    return replace(
        delivery,
        attempts=attempts,
        last_error=why,
        state="failed" if given_up else "waiting",
        due_at=now + most_s * (1 + chance) / 2,
    )
