"""Errors as responses: application/problem+json for everything that goes wrong. Source: RFC 9457."""

from __future__ import annotations

import math
import traceback
from collections.abc import Collection, Sequence
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from penstock.api.requests import ClientGone, facts_of
from penstock.api.words import sentence_of
from penstock.base.logs import get_log
from penstock.core.errors import (
    BlobNotFound,
    Bug,
    Conflict,
    NotAllowed,
    NotFound,
    NotLoggedIn,
    PenstockError,
    ProjectInvalid,
    RequestInvalid,
    ScriptRejected,
    TooLarge,
    TooMany,
    TransientError,
    UserError,
)
from penstock.core.hints import for_server
from penstock.core.projects import ProjectProblem

MEDIA_TYPE: Final = "application/problem+json"
_PROBLEMS_MAX: Final = 200
_RETRY_AFTER_S: Final = 1.0  # when nobody knows better


class MethodNotAllowed(UserError):
    """There is something at this path, but not with this method."""

    code = "method_not_allowed"


class BodyTimeout(UserError):
    """The body of a request came too slowly."""

    code = "body_timeout"


class RangeNotThere(UserError):
    """A range of bytes was asked for that the bytes do not have.

    Attributes:
        size_bytes: how many there are.
    """

    code = "range_not_there"

    def __init__(self, wanted: str, size_bytes: int) -> None:
        super().__init__(
            f"the range {wanted} lies behind the end: there are {size_bytes:,} bytes",
            hint="Ask for a range that begins before the end, or without Range for all of it.",
        )
        self.size_bytes = size_bytes


class MediaTypeUnsupported(UserError):
    """The body is of a type, or compressed in a way, that is not taken here."""

    code = "media_type_unsupported"


_STATUSES: Final[Sequence[tuple[type[PenstockError], int]]] = [  # the first that fits
    (MethodNotAllowed, 405),
    (BodyTimeout, 408),
    (MediaTypeUnsupported, 415),
    (RangeNotThere, 416),
    (NotFound, 404),
    (BlobNotFound, 410),
    (Conflict, 409),
    (TooLarge, 413),
    (NotLoggedIn, 401),
    (NotAllowed, 403),
    (TooMany, 429),
    (TransientError, 503),
    (UserError, 422),
]


class ProblemItem(BaseModel):
    """One value of a request that is not valid."""

    place: str = Field(description="Where the value stands, such as `body.options.priority`.")
    message: str


class ProblemBody(BaseModel):
    """What every error looks like."""

    type: str = Field(description="A name for the kind of error: `urn:penstock:error:<code>`.")
    title: str = Field(description="What the kind of error is about, in one sentence.")
    status: int
    detail: str = Field(description="What happened, with the value and the place.")
    code: str = Field(description="Stable; its page is docs/errors/<code>.md.")
    hint: str = Field(description="What to do.")
    retry: bool = Field(description="Whether the same request may work when it is sent again.")
    request_id: str
    problems: list[ProblemItem | dict[str, Any]] | None = Field(None, description="One for each value or line.")


def status_of(error: PenstockError) -> int:
    """Return the HTTP status of an error."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def respond(error: PenstockError, *, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as a response."""
    status = status_of(error)
    body: dict[str, Any] = {
        "type": f"urn:penstock:error:{error.code}",
        "title": (type(error).__doc__ or error.code).split("\n")[0],
        "status": status,
        "detail": error.message,
        "code": error.code,
        "hint": for_server(error.hint),
        "retry": isinstance(error, TransientError),
        "request_id": request_id,
    }
    if isinstance(error, RequestInvalid | ScriptRejected) and error.problems:
        body["problems"] = error.problems
    if isinstance(error, ProjectInvalid):
        body["problems"] = [_of_project(problem) for problem in error.problems[:_PROBLEMS_MAX]]
    all_headers = {**_headers(error), **(headers or {})}
    content = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
    return Response(content, status_code=status, headers=all_headers, media_type=MEDIA_TYPE)


def bug(error: BaseException) -> Bug:
    """Return the error that stands for one nobody has foreseen, and log its places.

    Places only: the text of a foreign exception may hold a row's values.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('penstock/')[2]}:{frame.lineno}" for frame in frames]
    get_log().error("request.failed", kind=type(error).__name__, at=list(reversed(places[-8:])))
    return Bug(
        "something is wrong inside Penstock", hint="Report the request_id; its place stands in the server's log."
    )


def install(app: FastAPI) -> None:
    """Make the application answer every error as a problem."""
    app.add_exception_handler(PenstockError, _on_penstock_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_penstock_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PenstockError)
    return _answer(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _answer(request, invalid(error.errors()))


def _of_project(problem: ProjectProblem) -> dict[str, str | int]:
    place = {"place": str(problem.place), "file": problem.place.file}
    lines = {"line": problem.place.line, "column": problem.place.column}
    return {**place, **lines, "message": problem.message, "code": problem.code, "hint": problem.hint}


def invalid(errors: Sequence[Any], *, known: Collection[str] = ()) -> RequestInvalid:
    """Return what a model found as one error; the values themselves are not repeated, for they may be data.

    Args:
        errors: as pydantic describes them.
        known: names that would be valid where one is not known.
    """
    problems = [{"place": _place(item.get("loc", ())), "message": sentence_of(item, known=known)} for item in errors]
    if not problems:
        problems = [{"place": "body", "message": "is not valid"}]
    first = problems[0]
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return RequestInvalid(
        f"{first['place']}: {first['message']}{more}",
        hint="Correct each value that is named, and send the request again.",
        problems=problems,
    )


def _place(location: Sequence[Any]) -> str:
    # A key of the body may be of any length.
    return ".".join(str(part)[:64] for part in location)[:256]


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, PenstockError):  # of whatever happens to a body the framework makes this
        return _answer(request, error.__cause__)
    if isinstance(error.__cause__, ClientGone):
        raise error.__cause__
    path, method = request.url.path[:256], request.method[:16]
    listed = "GET /api/v1/openapi.json lists every path and method."
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return _answer(request, NotFound(f"there is nothing at {path}", hint=listed))
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods_at(request)))
        message = f"{path} has no {method}; it has {headers['Allow']}"
        return _answer(request, MethodNotAllowed(message, hint=listed), headers=headers)
    if error.status_code == 413:
        return _answer(request, TooLarge(str(error.detail), hint="Send less at once."))
    if error.status_code == 400:  # the framework met bytes that are no text
        return _answer(request, RequestInvalid("body: is not JSON in UTF-8", hint="Send JSON, encoded as UTF-8."))
    return _answer(request, RequestInvalid(f"the request cannot be read: {error.detail}", hint=listed))


def _methods_at(request: Request) -> set[str]:
    """Return every method of the path; the framework's own header has those of its first route only."""
    routes: list[Route] = request.app.state.routes
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in fitting for method in route.methods or ()}


def _answer(request: Request, error: PenstockError, *, headers: dict[str, str] | None = None) -> Response:
    facts = facts_of(request.scope)
    facts.error = error
    return respond(error, request_id=facts.request_id, headers=headers)


def _headers(error: PenstockError) -> dict[str, str]:
    if isinstance(error, NotLoggedIn):
        return {"WWW-Authenticate": 'Bearer realm="penstock"'}
    if isinstance(error, TransientError):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s or _RETRY_AFTER_S)))}
    if isinstance(error, RangeNotThere):
        return {"Content-Range": f"bytes */{error.size_bytes}"}
    if isinstance(error, BodyTimeout):
        return {"Connection": "close"}
    return {}
