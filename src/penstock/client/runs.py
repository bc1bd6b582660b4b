"""Runs of pipelines: start and watch them, read what they said, cancel and resume them, back-fill."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

import orjson

from penstock.base.ids import new_id
from penstock.client.events import read_events
from penstock.client.transport import Transport
from penstock.core.errors import TransientError

_WATCH_SILENCE_S: Final = 45.0  # three heartbeats of the server
_PAUSE_S: Final = 1.0
_START_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the server has shown it.

    Attributes:
        ended: whether nothing more will come of it.
        tasks: name, state, report, error and more of each; none in a list.
        shown: everything that the server said.
    """

    id: str
    project: str
    pipeline: str
    date: str | None
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    ended: bool
    tasks: Sequence[Mapping[str, Any]]
    error: Mapping[str, Any] | None
    shown: Mapping[str, Any]


class Runs:
    """The runs of a workspace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def plan(self, project: str, pipeline: str, **asked: Any) -> dict[str, Any]:
        """Return what a run would do now, and why; `asked` as for `start`."""
        plan: dict[str, Any] = self._transport.request(
            "POST", _pipeline(project, pipeline, "plan"), json=asked, timeout_s=_START_S
        )
        return plan

    def start(self, project: str, pipeline: str, *, idempotency_key: str | None = None, **asked: Any) -> Run:
        """Run a pipeline, and return the run once it cannot be lost.

        Args:
            project: its name.
            pipeline: its name.
            idempotency_key: makes the same run of the same request; by default each call has its own, so that it can
                be sent again after an outage.
            asked: `date`, `params`, `again`, `select` and `revision`.
        """
        path = _pipeline(project, pipeline, "runs")
        return _run(self._begin(path, asked, idempotency_key))

    def backfill(
        self,
        project: str,
        pipeline: str,
        *,
        date_from: str,
        date_to: str,
        idempotency_key: str | None = None,
        **asked: Any,
    ) -> dict[str, Any]:
        """Run a pipeline once for each date, and return the back-fill.

        Args:
            project: its name.
            pipeline: its name.
            date_from: the first date.
            date_to: the last one.
            idempotency_key: as for `start`.
            asked: `parallel`, `params`, `again` and `select`.
        """
        body = {"date_from": date_from, "date_to": date_to, **asked}
        return self._begin(_pipeline(project, pipeline, "backfills"), body, idempotency_key)

    def read_backfill(self, backfill: str) -> dict[str, Any]:
        """Return a back-fill, and how many of its runs are in each state."""
        found: dict[str, Any] = self._transport.request("GET", f"/backfills/{quote(backfill, safe='')}")
        return found

    def resume_backfill(self, backfill: str) -> dict[str, Any]:
        """Go on with the runs of a back-fill that failed or were cancelled."""
        found: dict[str, Any] = self._transport.request("POST", f"/backfills/{quote(backfill, safe='')}/resume")
        return found

    def cancel_backfill(self, backfill: str) -> dict[str, Any]:
        """End all runs of a back-fill that have not ended."""
        found: dict[str, Any] = self._transport.request("POST", f"/backfills/{quote(backfill, safe='')}/cancel")
        return found

    def backfills(self, project: str | None = None, *, limit: int | None = None) -> Sequence[dict[str, Any]]:
        """Return back-fills, newest first; `limit` of them, or all."""
        return list(self._transport.pages("/backfills", query={"project": project}, limit=limit))

    def read(self, run_id: str) -> Run:
        """Return a run as it stands.

        Raises:
            NotFound: when the workspace has none under that id.
        """
        return _run(self._transport.request("GET", _path(run_id)))

    def list(self, *, limit: int | None = 50, **wanted: Any) -> Sequence[Run]:
        """Return runs, newest first, without their tasks.

        Args:
            limit: how many; None for all.
            wanted: `project`, `pipeline`, `state` or `backfill`.
        """
        return [_run(shown) for shown in self._transport.pages("/runs", query=wanted, limit=limit)]

    def watch(self, run_id: str) -> Iterator[Run]:
        """Yield a run each time that something of it has changed, until it has ended; outages are waited through."""
        seen = ""
        shown: dict[str, Any] = {}
        while True:
            with contextlib.suppress(TransientError):
                for event in self._events(run_id, seen):
                    said = orjson.loads(event.data)
                    seen, shown = event.id, changed(shown, said) if event.kind == "change" else said
                    yield (run := _run(shown))
                    if run.ended:
                        return
            time.sleep(_PAUSE_S)
            run = self.read(run_id)  # raises when the server stays away, or the run is gone
            if run.ended:
                yield run
                return

    def logs(self, run_id: str, *, task: str | None = None, after: int = 0) -> Sequence[dict[str, Any]]:
        """Return what a run's tasks have said after a `cursor`, in order."""
        lines: list[dict[str, Any]] = []
        while True:
            page = self._transport.request("GET", _path(run_id, "logs"), query={"task": task, "after": after})
            lines += page["items"]
            if not page["items"]:
                return lines
            after = page["next"]

    def items(self, run_id: str, task: str) -> Sequence[dict[str, Any]]:
        """Return what a task with a `for_each` is done for, and how each ended."""
        return list(self._transport.pages(_path(run_id, f"tasks/{quote(task, safe='')}/items")))

    def checks(
        self, *, run: str | None = None, table: str | None = None, limit: int | None = None
    ) -> Sequence[dict[str, Any]]:
        """Return results of suites, newest first; `limit` of them, or all."""
        return list(self._transport.pages("/checks", query={"run": run, "table": table}, limit=limit))

    def cancel(self, run_id: str) -> Run:
        """End a run: what waits at once, what runs soon."""
        return _run(self._transport.request("POST", _path(run_id, "cancel")))

    def resume(self, run_id: str) -> Run:
        """Go on with a run that failed or was cancelled: only what did not succeed runs again."""
        return _run(self._transport.request("POST", _path(run_id, "resume"), timeout_s=_START_S))

    def _begin(self, path: str, body: Mapping[str, Any], idempotency_key: str | None) -> dict[str, Any]:
        headers = {"Idempotency-Key": idempotency_key or new_id("idem")}
        begun: dict[str, Any] = self._transport.request("POST", path, json=body, headers=headers, timeout_s=_START_S)
        return begun

    def _events(self, run_id: str, last_event: str) -> Iterator[Any]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_event} if last_event else {})}
        with self._transport.stream(
            "GET", _path(run_id, "events"), headers=headers, timeout_s=_WATCH_SILENCE_S
        ) as response:
            yield from read_events(response.iter_bytes())


def changed(shown: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run as it stands, from how it stood and what an event `change` says."""
    tasks = {task["name"]: task for task in [*shown["tasks"], *change["tasks"]]}
    return {**shown, **change, "tasks": list(tasks.values()), "checks": [*change["checks"], *shown["checks"]]}


def _path(run_id: str, *more: str) -> str:
    # An id that holds a slash must not become another path.
    return "/".join(["/runs", quote(run_id, safe=""), *more])


def _pipeline(project: str, pipeline: str, verb: str) -> str:
    return f"/pipelines/{quote(project, safe='')}/{quote(pipeline, safe='')}/{verb}"


def _run(shown: Mapping[str, Any]) -> Run:
    return Run(
        id=shown["id"],
        project=shown["project"],
        pipeline=shown["pipeline"],
        date=shown["date"],
        state=shown["state"],
        ended=shown["ended"],
        tasks=shown.get("tasks", ()),
        error=shown["error"],
        shown=shown,
    )
