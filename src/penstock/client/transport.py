"""Requests to a server: with the key, with a timeout, tried again where that is safe, errors as `core.errors`."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson

from penstock import __version__
from penstock.core import errors
from penstock.core.errors import Bug, PenstockError, ServerUnavailable, TooMany, TransientError, UserError
from penstock.core.projects import Place, ProjectProblem

PREFIX: Final = "/api/v1"
_OUTSIDE: Final = frozenset(["/health", "/health/live", "/health/ready", "/metrics"])
_TRIES_MAX: Final = 5
_BACK_OFF_FIRST_S: Final = 0.1
_BACK_OFF_MOST_S: Final = 5.0
_PATIENCE_S: Final = 30.0  # a server that says to come back later than this is not waited for
_CONNECT_S: Final = 10.0
_IDEMPOTENT: Final = frozenset(["GET", "HEAD", "PUT", "DELETE"])
_ERROR_BODY_MAX: Final = 2**20
Query = Mapping[str, Any]


class ServerForeign(UserError):
    """What answered is not a Penstock server, or something on the way answered in its place."""

    code = "server_foreign"


class Transport:
    """One server, as one member by one key. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout_s: float = 30.0,
        tries_max: int = _TRIES_MAX,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare to talk to a server; nothing is sent yet.

        Args:
            url: of the server, such as `http://127.0.0.1:8400`.
            api_key: as it was shown once; empty for what needs none.
            timeout_s: for each wait for the server: a connection, a block sent, a block received.
            tries_max: how often a request is sent that may be sent again.
            sleep: how to wait between tries.
        """
        self.url = _checked(url)
        self._tries_max = tries_max
        self._sleep = sleep
        headers = {"User-Agent": f"penstock-client/{__version__}"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
            trust_env=not _is_loopback(self.url),  # no proxy stands between a machine and itself
        )
        self.timeout_s = timeout_s

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Send a request and return the JSON of its answer, None when that is empty.

        Args:
            method: such as `GET`.
            path: below `/api/v1`, such as `/jobs`.
            query: names and values; a list gives a name several times, None leaves it out.
            json: the body.
            headers: more headers; with an `Idempotency-Key` a POST is tried again too.
            timeout_s: instead of the usual one.

        Raises:
            PenstockError: the error that the server answered with, as its class.
            ServerUnavailable: when the server cannot be reached or does not answer in time.
        """
        content = None if json is None else orjson.dumps(json)
        more = {"Content-Type": "application/json"} if content is not None else {}
        with self.stream(
            method, path, query=query, content=content, headers={**more, **(headers or {})}, timeout_s=timeout_s
        ) as response:
            body = _read(response)
        return orjson.loads(body) if body else None

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        content: bytes | Iterable[bytes] | Callable[[], Iterable[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[httpx.Response]:
        """Send a request and give its response, whose body is not read yet.

        Args:
            method: such as `GET`.
            path: below `/api/v1`.
            query: as for `request`.
            content: the body; a function makes it anew for each try, an iterable allows one try only.
            headers: more headers.
            timeout_s: instead of the usual one.
        """
        again = (method in _IDEMPOTENT or "Idempotency-Key" in (headers or {})) and _repeatable(content)
        send = functools.partial(self._send, method, path, query, content, headers, timeout_s)
        response = self._tried(send, again=again, repeatable=_repeatable(content))
        try:
            yield response
        except httpx.TransportError as error:
            raise _unavailable(self.url, error) from error
        finally:
            response.close()

    def pages(self, path: str, *, query: Query | None = None, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page after page.

        Args:
            path: of the list.
            query: what to list.
            limit: how many items in all; None for all.
        """
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            asked = {**(query or {}), "cursor": cursor, "limit": None if left is None else min(left, 200)}
            page = self.request("GET", path, query=asked)
            yield from page["items"] if left is None else page["items"][:left]
            cursor = page["next"]
            left = None if left is None else left - len(page["items"])
            if cursor is None:
                return

    def _tried(self, send: Callable[[], httpx.Response], *, again: bool, repeatable: bool) -> httpx.Response:
        for number in range(1, self._tries_max + 1):
            try:
                return send()
            except TransientError as error:
                # A quota's refusal did nothing, so that even what is not idempotent may be sent again.
                may = again or (isinstance(error, TooMany) and repeatable)
                wait_s = _back_off_s(number, error.retry_after_s)
                if not may or number == self._tries_max or wait_s > _PATIENCE_S:
                    raise
                self._sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        content: Any,
        headers: Mapping[str, str] | None,
        timeout_s: float | None,
    ) -> httpx.Response:
        request = self._http.build_request(
            method,
            path if path in _OUTSIDE else PREFIX + path,
            params=_plain_query(query),
            content=content() if callable(content) else content,
            headers=headers,
            timeout=httpx.USE_CLIENT_DEFAULT if timeout_s is None else httpx.Timeout(timeout_s, connect=_CONNECT_S),
        )
        try:
            response = self._http.send(request, stream=True)
            if response.is_success:
                return response
            try:
                raise error_of(response.status_code, _read(response), headers=response.headers)
            finally:
                response.close()
        except httpx.TransportError as error:
            raise _unavailable(self.url, error) from error


def error_of(status: int, body: bytes, *, headers: Mapping[str, str]) -> PenstockError:
    """Return the error that a response stands for."""
    try:
        problem = orjson.loads(body)
        code, message, hint = str(problem["code"]), str(problem["detail"]), str(problem["hint"])
    except (ValueError, KeyError, TypeError):
        return _foreign_error(status, headers)
    kind: type[PenstockError] = _KINDS.get(code) or type(code, (_base_of(status),), {"code": code})
    if issubclass(kind, TransientError):
        return kind(message, hint=hint, retry_after_s=_retry_after_s(headers))
    if issubclass(kind, errors.RequestInvalid | errors.ScriptRejected):
        return kind(message, hint=hint, problems=problem.get("problems") or [])
    if issubclass(kind, errors.ProjectInvalid):
        return _project_invalid(problem, message, hint)
    if issubclass(kind, errors.TooManyErrors):
        kind = type(code, (UserError,), {"code": code})
    return kind(message, hint=hint)


def _project_invalid(problem: Mapping[str, Any], message: str, hint: str) -> PenstockError:
    """Return the error of a project, each of its problems with its place."""
    try:
        found = [
            ProjectProblem(
                each["code"], each["message"], Place(each["file"], each["line"], each["column"]), each["hint"]
            )
            for each in problem["problems"]
        ]
        return errors.ProjectInvalid(found)
    except (KeyError, TypeError, IndexError):
        bare: type[UserError] = type("project_invalid", (UserError,), {"code": errors.ProjectInvalid.code})
        return bare(message, hint=hint)


def _tree(root: type[PenstockError]) -> Iterator[type[PenstockError]]:
    for kind in root.__subclasses__():
        if "code" in vars(kind):
            yield kind
        yield from _tree(kind)


_KINDS: Final = {kind.code: kind for kind in _tree(PenstockError) if kind.__module__ == errors.__name__}
_BASES: Final[Mapping[int, type[PenstockError]]] = {
    401: errors.NotLoggedIn,
    403: errors.NotAllowed,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    429: errors.TooMany,
    500: Bug,
}


def _base_of(status: int) -> type[PenstockError]:
    return _BASES.get(status) or (ServerUnavailable if status >= 500 else UserError)


def _foreign_error(status: int, headers: Mapping[str, str]) -> PenstockError:
    """Return the error for an answer that is not one of Penstock's: a proxy on the way, or another server."""
    message = f"the answer is HTTP {status} without a Penstock error in it"
    if status in (429, 502, 503, 504):
        return ServerUnavailable(message, hint="Try again in a moment.", retry_after_s=_retry_after_s(headers))
    return ServerForeign(message, hint="Check the URL: is it the one of a Penstock server?")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _back_off_s(number: int, asked_s: float | None) -> float:
    if asked_s is not None:
        return asked_s
    return random.uniform(0, min(_BACK_OFF_MOST_S, _BACK_OFF_FIRST_S * 2**number))


def _unavailable(url: str, error: httpx.TransportError) -> ServerUnavailable:
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else f"cannot be reached: {error}"
    hint = "Is it running? Start it with: penstock up" if _is_loopback(url) else "Look at the URL, and whether it runs."
    return ServerUnavailable(f"the server at {url} {what}", hint=hint)


def _repeatable(content: Any) -> bool:
    return content is None or isinstance(content, bytes) or callable(content)


def _read(response: httpx.Response) -> bytes:
    blocks, size_bytes = [], 0
    for block in response.iter_bytes():
        blocks.append(block)
        size_bytes += len(block)
        if response.is_error and size_bytes > _ERROR_BODY_MAX:
            break
    return b"".join(blocks)


def _plain_query(query: Query | None) -> dict[str, Any]:
    values = {name: value for name, value in (query or {}).items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.SettingInvalid(
            f"{url!r} is not the URL of a server",
            hint="Give one such as http://127.0.0.1:8400 or https://penstock.example.com",
        )
    return url.rstrip("/")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
