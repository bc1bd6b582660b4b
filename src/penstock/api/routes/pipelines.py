"""Pipelines of deployed projects: what they are, what a run would do, and runs of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from penstock.api.dependencies import CurrentActor, CurrentServer, IdempotencyKey, Json
from penstock.api.run_models import (
    BackfillAsk,
    BackfillShown,
    PageLimit,
    PipelineCursor,
    PipelineName,
    PipelinePage,
    PipelineShown,
    PlanShown,
    ProjectName,
    RunAsk,
    RunShown,
    ScheduleShown,
)
from penstock.base.hashing import fingerprint
from penstock.base.ids import new_id
from penstock.base.nearest import nearest
from penstock.core.access import Actor
from penstock.core.errors import NotFound
from penstock.core.run_views import show_backfill, show_pipeline, show_run, show_schedule
from penstock.core.runs import Once
from penstock.planning.pipelines import Occasion
from penstock.planning.plan_views import show_plan

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"])
PROJECT = Query(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="Only those of one project.")


@router.get("", name="list_pipelines", response_model=PipelinePage)
def list_pipelines(
    server: CurrentServer,
    actor: CurrentActor,
    project: Annotated[str | None, PROJECT] = None,
    cursor: PipelineCursor = None,
    limit: PageLimit = 100,
) -> Response:
    """Return the pipelines of the active revisions by project and name, with their schedules."""
    begun, _, after = (cursor or "").partition("/")
    found: list[dict[str, Any]] = []
    for name in _projects(server, actor, after=begun) if project is None else [project]:
        pipelines = sorted(_pipelines(name, server, actor), key=lambda each: str(each["pipeline"]))
        found += [each for each in pipelines if name != begun or each["pipeline"] > after]
        if len(found) > limit:
            break
    items = found[:limit]
    following = f"{items[-1]['project']}/{items[-1]['pipeline']}" if len(found) > limit else None
    return Json({"items": items, "next": following})


@router.get("/{project}/{pipeline}", name="read_pipeline", response_model=PipelineShown)
def read_pipeline(project: ProjectName, pipeline: PipelineName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return a pipeline of the active revision of its project."""
    found = {each["pipeline"]: each for each in _pipelines(project, server, actor)}
    if pipeline not in found:
        raise NotFound(f"the project {project} has no pipeline {pipeline!r}", hint=nearest(pipeline, found))
    return Json(found[pipeline])


@router.post("/{project}/{pipeline}/plan", name="plan_pipeline", response_model=PlanShown)
def plan_pipeline(
    project: ProjectName, pipeline: PipelineName, ask: RunAsk, server: CurrentServer, actor: CurrentActor
) -> Response:
    """Return what a run would do now, and why; nothing is done."""
    plan = server.runs.plan(
        project, pipeline, _occasion(ask), actor=actor, select=tuple(ask.select), revision=ask.revision
    )
    return Json(show_plan(plan, project=project))


@router.post("/{project}/{pipeline}/runs", name="start_run", status_code=202, response_model=RunShown)
def start_run(
    project: ProjectName,
    pipeline: PipelineName,
    ask: RunAsk,
    server: CurrentServer,
    actor: CurrentActor,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Run a pipeline; the answer comes once the run cannot be lost."""
    once = _once(idempotency_key, "run", project, pipeline, ask)
    run = server.runs.start(
        project, pipeline, _occasion(ask), actor=actor, select=tuple(ask.select), revision=ask.revision, once=once
    )
    return Json(show_run(run), status_code=202, headers=_headers(f"/api/v1/runs/{run.id}", run.id, once))


@router.post("/{project}/{pipeline}/backfills", name="start_backfill", status_code=202, response_model=BackfillShown)
def start_backfill(
    project: ProjectName,
    pipeline: PipelineName,
    ask: BackfillAsk,
    server: CurrentServer,
    actor: CurrentActor,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Run a pipeline once for each date."""
    once = _once(idempotency_key, "bf", project, pipeline, ask)
    backfill = server.runs.backfill(
        project,
        pipeline,
        date_from=ask.date_from,
        date_to=ask.date_to,
        parallel=ask.parallel,
        params=ask.params,
        again=ask.again,
        select=tuple(ask.select),
        actor=actor,
        once=once,
    )
    headers = _headers(f"/api/v1/backfills/{backfill.id}", backfill.id, once)
    return Json(show_backfill(backfill), status_code=202, headers=headers)


@router.post("/{project}/{pipeline}/pause", name="pause_schedule", response_model=ScheduleShown)
def pause_schedule(
    project: ProjectName, pipeline: PipelineName, server: CurrentServer, actor: CurrentActor
) -> Response:
    """Keep a pipeline's schedule from running it, until somebody resumes it."""
    return Json(show_schedule(server.projects.pause(project, pipeline, actor=actor, paused=True)))


@router.post("/{project}/{pipeline}/resume", name="resume_schedule", response_model=ScheduleShown)
def resume_schedule(
    project: ProjectName, pipeline: PipelineName, server: CurrentServer, actor: CurrentActor
) -> Response:
    """Let a pipeline's schedule run it again."""
    return Json(show_schedule(server.projects.pause(project, pipeline, actor=actor, paused=False)))


def _once(key: str | None, kind: str, project: str, pipeline: str, ask: RunAsk | BackfillAsk) -> Once | None:
    """Return what keeps a request from being carried out twice; what it leaves out is not told from the default."""
    if key is None:
        return None
    asked = ask.model_dump(mode="json", exclude_defaults=True)
    return Once(key, fingerprint(kind, project, pipeline, asked), makes=new_id(kind))


def _headers(location: str, made: str, once: Once | None) -> dict[str, str]:
    replayed = {} if once is None or once.makes == made else {"Idempotent-Replayed": "true"}
    return {"Location": location, **replayed}


def _occasion(ask: RunAsk) -> Occasion:
    return Occasion(ask.date, ask.params, again=ask.again)


def _projects(server: Any, actor: Actor, *, after: str) -> Iterator[str]:
    """Yield the names of projects: the one in which a page begins, if it is still there, and those that follow."""
    with contextlib.suppress(NotFound):
        if after:
            yield server.projects.revision(after, actor=actor).project
    while page := server.projects.list(actor=actor, after=after):
        yield from (each.project for each in page)
        after = page[-1].project


def _pipelines(name: str, server: Any, actor: Actor) -> list[dict[str, Any]]:
    project = server.projects.load(name, actor=actor)
    schedules = {state.pipeline: show_schedule(state) for state in server.projects.schedules(actor=actor, project=name)}
    return [
        show_pipeline(name, pipeline, schedule=schedules.get(pipeline.name)) for pipeline in project.pipelines.values()
    ]
