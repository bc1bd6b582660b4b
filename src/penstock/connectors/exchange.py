"""HTTP to what a connection leads to: only to addresses that were checked, bounded in time and size, its errors told.

As for webhooks, a name is resolved and judged by the egress rule first, and the connection goes to one of the addresses
that were found then. Redirects are not followed, proxies of the environment are not used, and what is compressed is
handed on as it came: it is undone where it is parsed. An error says the connection and the path of the task, never a
URL: a part of it may be a secret.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import re
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlencode, urljoin, urlsplit

from penstock.base.lazily import Lazily
from penstock.core import limits
from penstock.core.access import Destination
from penstock.core.errors import DestinationUnavailable, SourceRefused, TooMany
from penstock.core.ports import PipelineContext

if TYPE_CHECKING:
    import httpx
else:
    httpx = Lazily("httpx")

_TRY_AGAIN: Final = frozenset([408, 425, 500, 502, 503, 504])
_RESOLVED_S: Final = 60.0  # how long an answer of the name service is used for new connections
_BYTES_MAX: Final = limits.SOURCE_PAGE.value * 2**20
_WAIT_MAX_S: Final = 24 * 3600.0
_CONNECTIONS_MAX: Final = 64
_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent.

    Attributes:
        url: whole, or relative to the connection's.
        what: the path as the task says it, for words.
    """

    url: str
    what: str
    method: str = "GET"
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        body: as it came, compressed as `encoding` says.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    encoding: str


class Exchange:
    """Requests to one place; safe to use from several threads.

    Args:
        ctx: of the attempt.
        name: of the connection.
        base_url: what URLs are relative to; no request goes to another host.
        timeout_s: of a connection, and of each wait for bytes.
    """

    def __init__(self, ctx: PipelineContext, name: str, base_url: str, *, timeout_s: float) -> None:
        self._ctx = ctx
        self._name = name
        self._base = base_url.rstrip("/") + "/"
        # Its transport alone: a client above it takes as long again for each request, mostly to parse URLs anew.
        self._transport = httpx.HTTPTransport(
            verify=_tls(), trust_env=False, limits=httpx.Limits(max_connections=_CONNECTIONS_MAX)
        )
        self._timeout = httpx.Timeout(timeout_s).as_dict()
        self._cookies = httpx.Cookies()
        self._resolved: dict[tuple[str, str], tuple[float, Destination]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def send(self, request: Request) -> Answer:
        """Return what is answered, when that is a success or 401.

        Raises:
            TooMany: when it says that this is too much for now; with the time it asks for.
            DestinationUnavailable: when it cannot be reached, breaks off, or has an error of its own.
            SourceRefused: when it answers that it will not.
            EgressRefused: when it may not be reached.
        """
        place = urljoin(self._base, request.url)
        self._require_same_place(place, request)
        answer = self._send_first(self._resolve(_with_params(place, dict(request.params))), request)
        if answer.status == 401 or 200 <= answer.status < 300:
            return answer
        raise self._refusal(answer, request)

    def _resolve(self, url: str) -> Destination:
        parts = urlsplit(url)
        key, now = (parts.scheme, parts.netloc), time.monotonic()
        with self._lock:
            known = self._resolved.get(key)
        if known is None or known[0] < now:
            known = now + _RESOLVED_S, self._ctx.resolve(url)
            with self._lock:
                self._resolved[key] = known
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        found = known[1]
        return Destination(found.scheme, found.host, found.port, target, found.addresses)

    def _send_first(self, destination: Destination, request: Request) -> Answer:
        """Send to the first address that accepts a connection."""
        last = ""
        for address in destination.addresses:
            try:
                return self._send(destination, address, request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = type(error).__name__
            except httpx.HTTPError as error:
                raise self._unavailable(request, f"broke off ({type(error).__name__})") from error
        raise self._unavailable(request, f"refuses connections ({last})")

    def _send(self, destination: Destination, address: str, request: Request) -> Answer:
        host = f"[{destination.host}]" if ":" in destination.host else destination.host
        default = destination.port == (443 if destination.scheme == "https" else 80)
        place = f"[{address}]" if ":" in address else address
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": "Penstock",
            **dict(request.headers),
            "Host": host if default else f"{host}:{destination.port}",
        }
        asked = httpx.Request(
            request.method,
            f"{destination.scheme}://{place}:{destination.port}{destination.target}",
            content=request.body,
            headers=headers,
            cookies=self._cookies,
            # The certificate must be the name's, not the address's.
            extensions={"timeout": self._timeout, "sni_hostname": destination.host},
        )
        with contextlib.closing(self._transport.handle_request(asked)) as answer:
            if "set-cookie" in answer.headers:
                answer.request = asked
                self._cookies.extract_cookies(answer)
            body = self._body(answer, request)
            encoding = answer.headers.get("content-encoding", "identity").strip().lower() or "identity"
            return Answer(answer.status_code, answer.headers, body, encoding)

    def _body(self, answer: httpx.Response, request: Request) -> bytes:
        deadline_s = time.monotonic() + limits.SOURCE_REQUEST.value
        parts, size = [], 0
        for part in answer.iter_raw():
            parts.append(part)
            size += len(part)
            if size > _BYTES_MAX:
                raise SourceRefused(
                    f"{self._at(request)}: the answer has more than {limits.SOURCE_PAGE.value} MiB",
                    hint="Ask for smaller pages.",
                )
            if time.monotonic() > deadline_s:
                raise self._unavailable(request, f"took longer than {limits.SOURCE_REQUEST.value} s to answer")
        return b"".join(parts)

    def _refusal(self, answer: Answer, request: Request) -> Exception:
        status = answer.status
        asked_s = retry_after_s(answer.headers.get("retry-after", ""))
        if status == 429 or (status == 503 and asked_s is not None):
            return TooMany(
                f"{self._at(request)}: it answered {status}: too much for now",
                hint="It is asked again later. Say per_second: in the connection to stay below its limit.",
                retry_after_s=asked_s,
            )
        if status in _TRY_AGAIN:
            return self._unavailable(request, f"answered {status}")
        if 300 <= status < 400:
            return SourceRefused(
                f"{self._at(request)}: it answered {status}, which leads elsewhere",
                hint="Put where it leads to into the connection's url; redirects are not followed.",
            )
        return SourceRefused(
            f"{self._at(request)}: it answered {status}", hint="Look at the path, at the params, and at auth."
        )

    def refused_401(self, request: Request) -> SourceRefused:
        """Return the error of a request whose authorisation was not accepted."""
        return SourceRefused(
            f"{self._at(request)}: it answered 401: who asks is not known, or may not",
            hint="Look at the connection's auth and at its secrets.",
        )

    def unreadable(self, answer: Answer, request: Request, error: SourceRefused) -> SourceRefused:
        """Return the error of an answer that is not what was asked for, with its type and none of its words."""
        found = _TYPE.match(answer.headers.get("content-type", ""))
        kind = found[0] if found else "of no type"
        return SourceRefused(
            f"{self._at(request)}: it answered {answer.status} ({kind}): {error.message}",
            hint=error.hint
            if "json" in kind
            else "Look at the url and the path: what is there may be a page for people.",
            figures=error.figures,
        )

    def _require_same_place(self, url: str, request: Request) -> None:
        base, parts = urlsplit(self._base), urlsplit(url)
        if (base.scheme, base.netloc) != (parts.scheme, parts.netloc):
            raise SourceRefused(
                f"{self._at(request)}: what comes next is at another host, to which its secrets do not belong",
                hint="Read the other host by a connection of its own.",
            )

    def _unavailable(self, request: Request, words: str) -> DestinationUnavailable:
        return DestinationUnavailable(
            f"{self._at(request)}: it {words}", hint="Look at the source; then resume the run."
        )

    def _at(self, request: Request) -> str:
        return f"the connection {self._name!r}, {request.what[:200]!r}"


def _with_params(url: str, params: Mapping[str, str]) -> str:
    """Return a URL with parameters, which take the place of those of the same names that it has."""
    if not params:
        return url
    if "?" in url or "#" in url:
        return str(httpx.URL(url).copy_merge_params(params))
    return f"{url}?{urlencode(params)}"  # which is the same, and parsed once less


def retry_after_s(text: str, *, now_s: float | None = None) -> float | None:
    """Return how long a Retry-After asks to wait: seconds, or a date; None when it says nothing that makes sense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), _WAIT_MAX_S)
    try:
        at_s = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, at_s - (time.time() if now_s is None else now_s)), _WAIT_MAX_S)


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # some 20 ms; SSL_CERT_FILE names other roots
