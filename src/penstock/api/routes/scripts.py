"""Scripts and their versions: push, try, publish, activate, roll back, end; and approvals."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.api.dependencies import CurrentActor, CurrentServer, Json
from penstock.api.script_models import (
    ApprovalPage,
    ApprovalShown,
    DiffShown,
    NewVersionAsk,
    ReasonAsk,
    ResumeShown,
    ScriptAsk,
    ScriptChange,
    ScriptPage,
    ScriptShown,
    ScriptState,
    TrialShown,
    VersionAsk,
    VersionPage,
    VersionShown,
    show_approval,
    show_diff,
    show_line,
    show_script,
    show_state,
    show_trial,
    show_version,
)
from penstock.core.access import Actor
from penstock.core.versions import Approval, Script, Standing, Version
from penstock.usecases.trials import Sample

router = APIRouter(prefix="/api/v1", tags=["scripts"])

_PAGE_MAX: Final = 200
_WORD: Final = r"^[A-Za-z0-9._-]{1,100}$"
_FORMATS: Final = {"application/json": "json", "text/csv": "csv"}
_SCRIPT: Final = "/scripts/{script}"
_VERSION: Final = "/scripts/{script}/versions/{version}"
ScriptWord = Annotated[str, Path(pattern=_WORD, description="Name or id of a script.", examples=["clean_orders"])]
VersionWord = Annotated[
    str, Path(pattern=_WORD, description="A version's number or id, or `active`.", examples=["1.2.0"])
]
ApprovalWord = Annotated[str, Path(pattern=_WORD, description="The id of an approval: apr_01...")]
Limit = Annotated[int, Query(ge=1, le=_PAGE_MAX, description="How many at most.")]
Why = Annotated[ReasonAsk | None, Body(description="Why; it may be left out.")]
_SAMPLE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Up to 1,000 records and 1 MiB, in the format that the Content-Type or `format` names.",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"price": 2, "quantity": 3}\n'},
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}


@router.post("/scripts", name="create_script", status_code=201, response_model=ScriptShown)
def create_script(ask: ScriptAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Make a script, with its first draft or still without versions."""
    first = ask.first_version
    made = server.scripts.create(
        ask.name,
        language=ask.language,
        description=ask.description,
        first=first and first.content(),
        number=first and first.version,
        actor=actor,
    )
    return Json(
        _script(made, server, actor), status_code=201, headers={"Location": f"{router.prefix}/scripts/{made.id}"}
    )


@router.get("/scripts", name="list_scripts", response_model=ScriptPage)
def list_scripts(
    server: CurrentServer,
    actor: CurrentActor,
    cursor: Annotated[str | None, Query(pattern=_WORD, description="`next` of the page before.")] = None,
    limit: Limit = 50,
) -> Response:
    """Return scripts by name."""
    found = server.scripts.list(after=cursor, limit=limit + 1, actor=actor)
    names = server.members.names([script.created_by for script in found], actor=actor)
    items = [show_script(script, names=names) for script in found[:limit]]
    return Json({"items": items, "next": items[-1]["name"] if len(found) > limit else None})


@router.get(_SCRIPT, name="read_script", response_model=ScriptState)
def read_script(script: ScriptWord, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return a script, how many of it may run at once, and whether it is paused."""
    return Json(_state(server.scripts.standing(script, actor=actor), server, actor))


@router.patch(_SCRIPT, name="change_script", response_model=ScriptState)
def change_script(script: ScriptWord, ask: ScriptChange, server: CurrentServer, actor: CurrentActor) -> Response:
    """Say how many attempts of a script's jobs may run at once; what runs goes on to its end."""
    return Json(_state(server.scripts.bound(script, running_max=ask.running_max, actor=actor), server, actor))


@router.post(f"{_SCRIPT}/versions", name="create_version", status_code=201, response_model=VersionShown)
def create_version(script: ScriptWord, ask: NewVersionAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Add a draft; it can change until it is published."""
    made = server.scripts.add_version(script, ask.content(), number=ask.version, actor=actor)
    location = f"{router.prefix}/scripts/{made.script}/versions/{made.number}"
    return Json(_version(made, server, actor), status_code=201, headers={"Location": location})


@router.get(f"{_SCRIPT}/versions", name="list_versions", response_model=VersionPage)
def list_versions(
    script: ScriptWord,
    server: CurrentServer,
    actor: CurrentActor,
    cursor: Annotated[str | None, Query(pattern=_WORD, description="`next` of the page before.")] = None,
    limit: Limit = 50,
) -> Response:
    """Return versions, the newest first, without their schemas and examples."""
    _, found = server.scripts.versions(script, before=cursor, limit=limit + 1, actor=actor)
    names = server.members.names(_people(*found), actor=actor)
    items = [show_line(version, names=names) for version in found[:limit]]
    return Json({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


@router.get(_VERSION, name="read_version", response_model=VersionShown)
def read_version(script: ScriptWord, version: VersionWord, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return a version."""
    return Json(_version(server.scripts.read_version(script, version, actor=actor), server, actor))


@router.put(_VERSION, name="change_version", response_model=VersionShown)
def change_version(
    script: ScriptWord, version: VersionWord, ask: VersionAsk, server: CurrentServer, actor: CurrentActor
) -> Response:
    """Put other content into a draft; what is published never changes."""
    return Json(_version(server.scripts.change_draft(script, version, ask.content(), actor=actor), server, actor))


@router.get(
    f"{_VERSION}/code",
    name="read_version_code",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The script's text."}},
)
def read_version_code(script: ScriptWord, version: VersionWord, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return the code of a version."""
    return Response(server.scripts.code(script, version, actor=actor), media_type="text/plain; charset=utf-8")


@router.patch(f"{_VERSION}/publish", name="publish_version", response_model=VersionShown)
def publish_version(script: ScriptWord, version: VersionWord, server: CurrentServer, actor: CurrentActor) -> Response:
    """Fix a draft for ever, once it compiles and does what its examples say; else every difference is listed."""
    return Json(_version(server.scripts.publish(script, version, actor=actor), server, actor))


@router.patch(f"{_VERSION}/activate", name="activate_version", response_model=ScriptShown)
def activate_version(script: ScriptWord, version: VersionWord, server: CurrentServer, actor: CurrentActor) -> Response:
    """Let `active` stand for a version, and return the script."""
    return Json(_script(server.scripts.activate(script, version, actor=actor), server, actor))


@router.patch(f"{_VERSION}/deprecate", name="deprecate_version", response_model=VersionShown)
def deprecate_version(
    script: ScriptWord, version: VersionWord, server: CurrentServer, actor: CurrentActor, why: Why = None
) -> Response:
    """Keep ranges from choosing a version while another fits; named exactly, or as `active`, it still runs."""
    reason = why.reason if why else ""
    return Json(_version(server.scripts.deprecate(script, version, reason=reason, actor=actor), server, actor))


@router.patch(f"{_VERSION}/revoke", name="revoke_version", response_model=VersionShown)
def revoke_version(
    script: ScriptWord, version: VersionWord, server: CurrentServer, actor: CurrentActor, why: Why = None
) -> Response:
    """End a version for good: waiting jobs of it fail with `version_revoked`, running ones go on to their end."""
    reason = why.reason if why else ""
    return Json(_version(server.scripts.revoke(script, version, reason=reason, actor=actor), server, actor))


@router.post(f"{_SCRIPT}/rollback", name="rollback_script", response_model=ScriptShown)
def rollback_script(script: ScriptWord, server: CurrentServer, actor: CurrentActor) -> Response:
    """Activate the version before; again, and it goes further back."""
    return Json(_script(server.scripts.rollback(script, actor=actor), server, actor))


@router.get(f"{_SCRIPT}/diff", name="diff_versions", response_model=DiffShown)
def diff_versions(
    script: ScriptWord,
    server: CurrentServer,
    actor: CurrentActor,
    before: Annotated[str, Query(alias="from", pattern=_WORD, description="A version's number or id, or `active`.")],
    after: Annotated[str, Query(alias="to", pattern=_WORD, description="A version's number or id, or `active`.")],
) -> Response:
    """Return how one version differs from another: code and settings."""
    return Json(show_diff(server.scripts.diff(script, before=before, after=after, actor=actor)))


@router.post(f"{_VERSION}/try", name="try_version", response_model=TrialShown, openapi_extra=_SAMPLE)
async def try_version(
    request: Request,
    script: ScriptWord,
    version: VersionWord,
    server: CurrentServer,
    actor: CurrentActor,
    data_format: Annotated[
        Literal["ndjson", "json", "csv"] | None,
        Query(alias="format", description="Of the body; else by its Content-Type, or NDJSON."),
    ] = None,
) -> Response:
    """Run a version, a draft too, on a few records at once."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    sample = Sample(await request.body(), data_format or _FORMATS.get(kind, "ndjson"))
    trial = await run_in_threadpool(server.scripts.try_, script, version, sample, actor=actor)
    return Json(show_trial(trial))


@router.post(f"{_SCRIPT}/resume", name="resume_script", response_model=ResumeShown)
def resume_script(script: ScriptWord, server: CurrentServer, actor: CurrentActor) -> Response:
    """Let jobs of a script run again that was paused because its runs were killed one after the other."""
    return Json({"resumed": server.scripts.resume(script, actor=actor)})


@router.post(f"{_VERSION}/approval", name="ask_approval", status_code=201, response_model=ApprovalShown)
def ask_approval(
    script: ScriptWord, version: VersionWord, ask: ReasonAsk, server: CurrentServer, actor: CurrentActor
) -> Response:
    """Ask that a draft may go beyond the default; it holds for exactly what the draft is now."""
    made = server.approvals.ask(script, version, reason=ask.reason, actor=actor)
    return Json(_approval(made, server, actor), status_code=201)


@router.get("/approvals", name="list_approvals", response_model=ApprovalPage)
def list_approvals(
    server: CurrentServer,
    actor: CurrentActor,
    state: Literal["waiting", "approved", "refused", "overridden", "lapsed"] | None = None,
    cursor: Annotated[str | None, Query(pattern=_WORD, description="`next` of the page before.")] = None,
    limit: Limit = 50,
) -> Response:
    """Return approvals, the newest first."""
    found = server.approvals.list(state=state, before=cursor, limit=limit + 1, actor=actor)
    names = server.members.names(_deciders(*found), actor=actor)
    items = [show_approval(approval, names=names) for approval in found[:limit]]
    return Json({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


@router.post("/approvals/{approval}/approve", name="approve", response_model=ApprovalShown)
def approve(approval: ApprovalWord, server: CurrentServer, actor: CurrentActor, why: Why = None) -> Response:
    """Agree, as a second person."""
    done = server.approvals.approve(approval, reason=why.reason if why else "", actor=actor)
    return Json(_approval(done, server, actor))


@router.post("/approvals/{approval}/refuse", name="refuse", response_model=ApprovalShown)
def refuse(approval: ApprovalWord, server: CurrentServer, actor: CurrentActor, why: Why = None) -> Response:
    """Disagree, as a second person."""
    done = server.approvals.refuse(approval, reason=why.reason if why else "", actor=actor)
    return Json(_approval(done, server, actor))


@router.post("/approvals/{approval}/override", name="override", response_model=ApprovalShown)
def override(approval: ApprovalWord, server: CurrentServer, actor: CurrentActor, why: Why = None) -> Response:
    """Go without a second person, as an admin who is the only member; the record says so."""
    done = server.approvals.override(approval, reason=why.reason if why else "", actor=actor)
    return Json(_approval(done, server, actor))


def _approval(approval: Approval, server: Any, actor: Actor) -> dict[str, Any]:
    return show_approval(approval, names=server.members.names(_deciders(approval), actor=actor))


def _deciders(*approvals: Approval) -> list[str | None]:
    return [member for one in approvals for member in (one.requested_by, one.decided_by)]


def _script(script: Script, server: Any, actor: Actor) -> dict[str, Any]:
    return show_script(script, names=server.members.names([script.created_by], actor=actor))


def _state(standing: Standing, server: Any, actor: Actor) -> dict[str, Any]:
    return show_state(standing, names=server.members.names([standing.script.created_by], actor=actor))


def _version(version: Version, server: Any, actor: Actor) -> dict[str, Any]:
    return show_version(version, names=server.members.names(_people(version), actor=actor))


def _people(*versions: Version) -> list[str | None]:
    return [member for one in versions for member in (one.created_by, one.updated_by, one.published_by)]
