"""Projects: deploy them, list their revisions, say which one is active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.api.dependencies import CurrentActor, CurrentServer, Json
from penstock.api.problems import invalid
from penstock.api.run_models import (
    DeployAsk,
    DeployedShown,
    PageLimit,
    ProjectCursor,
    ProjectName,
    RevisionCursor,
    RevisionPage,
    RevisionShown,
)
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.errors import RequestInvalid, TooLarge
from penstock.core.project_files import changes
from penstock.core.run_views import show_revision, show_schedule

router = APIRouter(prefix="/api/v1/projects", tags=["projects"])
RevisionText = Annotated[str, Path(pattern=r"^[0-9a-f]{8,64}$", description="The hash of a revision; 8 digits do.")]
_BODY_BYTES: Final = limits.PROJECT_BYTES.value * 2**20 * 3 // 2  # base64 and JSON around the files
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": DeployAsk.model_json_schema(mode="validation")}},
    }
}


@router.get("", name="list_projects", response_model=RevisionPage)
def list_projects(
    server: CurrentServer, actor: CurrentActor, cursor: ProjectCursor = "", limit: PageLimit = 100
) -> Response:
    """Return the active revision of each project, by name."""
    found = server.projects.list(actor=actor, after=cursor, limit=limit + 1)
    items = [show_revision(revision) for revision in found[:limit]]
    return Json({"items": items, "next": items[-1]["project"] if len(found) > limit else None})


@router.post("", name="deploy_project", status_code=201, response_model=DeployedShown, openapi_extra=_BODY)
async def deploy_project(request: Request, server: CurrentServer, actor: CurrentActor) -> Response:
    """Make files the active revision of their project; its schedules run from now on.

    The project's name stands in its `penstock.yml`. What is wrong with the files is said all at once, and then nothing
    has changed. The same files again are the same revision.
    """
    body = await _read(request)
    return await run_in_threadpool(_deploy, body, server, actor)


@router.get("/{project}", name="read_project", response_model=RevisionShown)
def read_project(project: ProjectName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return the active revision of a project."""
    return Json(show_revision(server.projects.revision(project, actor=actor)))


@router.get("/{project}/revisions", name="list_revisions", response_model=RevisionPage)
def list_revisions(
    project: ProjectName,
    server: CurrentServer,
    actor: CurrentActor,
    cursor: RevisionCursor = None,
    limit: PageLimit = 100,
) -> Response:
    """Return the revisions of a project, newest first."""
    found = server.projects.revisions(project, actor=actor, before=cursor, limit=limit + 1)
    items = [show_revision(revision) for revision in found[:limit]]
    return Json({"items": items, "next": items[-1]["revision"] if len(found) > limit else None})


@router.post("/{project}/revisions/{revision}/activate", name="activate_revision", response_model=RevisionShown)
def activate_revision(
    project: ProjectName, revision: RevisionText, server: CurrentServer, actor: CurrentActor
) -> Response:
    """Make an earlier revision the active one again; its schedules run from now on."""
    return Json(show_revision(server.projects.activate(project, revision, actor=actor)))


async def _read(request: Request) -> bytes:
    """Return the body, held to what a project may have."""
    blocks, size_bytes = [], 0
    async for block in request.stream():
        size_bytes += len(block)
        if size_bytes > _BODY_BYTES:
            raise TooLarge(
                f"the body is larger than {_BODY_BYTES // 2**20} MiB; a project's files have"
                f" {limits.PROJECT_BYTES.value} MiB at most together",
                hint="Keep data out of the project.",
            )
        blocks.append(block)
    return b"".join(blocks)


def _deploy(body: bytes, server: Any, actor: Actor) -> Response:
    ask = _ask(body)
    files = _files(ask)
    before = {each.project: each.revision for each in server.projects.list(actor=actor)}
    revision = server.projects.deploy(files, actor=actor, note=ask.note)
    old: Mapping[str, bytes] = {}
    if revision.project in before:
        old = server.projects.load(revision.project, actor=actor, revision=before[revision.project]).files
    schedules = server.projects.schedules(actor=actor, project=revision.project)
    deployed = {
        **show_revision(revision),
        "before": before.get(revision.project),
        "changes": changes(old, files),
        "schedules": [show_schedule(state) for state in schedules],
    }
    return Json(deployed, status_code=201, headers={"Location": f"{router.prefix}/{revision.project}"})


def _ask(body: bytes) -> DeployAsk:
    try:
        return DeployAsk.model_validate_json(body)
    except ValidationError as error:
        found = [{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_input=False)]
        raise invalid(found, known=list(DeployAsk.model_fields)) from None


def _files(ask: DeployAsk) -> dict[str, bytes]:
    twice = sorted(ask.files.keys() & ask.binary.keys())
    if twice:
        raise RequestInvalid(
            f"{twice[0][:200]!r} stands in both files and binary",
            hint="Give each file once.",
            problems=[{"place": "body.binary", "message": "names a file that stands in files, too"}],
        )
    try:
        text = {name: content.encode() for name, content in ask.files.items()}
    except UnicodeEncodeError:
        raise RequestInvalid(
            "a file's text has half of a surrogate pair", hint="Send files that are not UTF-8 in binary.", problems=[]
        ) from None
    return text | ask.binary
