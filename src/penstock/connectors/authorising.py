"""Who asks: what a connection adds to each request so that it is let in."""

from __future__ import annotations

import base64
import threading
import time
from typing import Annotated, Final, Literal
from urllib.parse import quote_plus, urlencode

import orjson
from pydantic import BaseModel, ConfigDict, Field

from penstock.connectors.exchange import Answer, Exchange, Request
from penstock.core.errors import SourceRefused

Pairs = tuple[tuple[str, str], ...]

_EARLY_S: Final = 30.0  # a token is not used up to its last moment
_ANSWER_BYTES_MAX: Final = 65_536
_TOKEN_S: Final = 3_600.0  # where the server does not say for how long


class _Auth(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bearer(_Auth):
    """A token in `Authorization`."""

    kind: Literal["bearer"] = Field(description="A token in `Authorization`.")
    token: str = Field(repr=False, description="As ${secret:NAME}.")


class Basic(_Auth):
    """A user and a password in `Authorization`."""

    kind: Literal["basic"] = Field(description="A user and a password.")
    user: str = Field(description="Its name.")
    password: str = Field(repr=False, description="As ${secret:NAME}.")


class Header(_Auth):
    """A key in a header of its own."""

    kind: Literal["header"] = Field(description="A key in a header.")
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="Of the header, such as X-API-Key.")
    value: str = Field(repr=False, description="As ${secret:NAME}.")


class Query(_Auth):
    """A key among the parameters of the URL."""

    kind: Literal["query"] = Field(description="A key in the URL's query.")
    name: str = Field(description="Of the parameter.")
    value: str = Field(repr=False, description="As ${secret:NAME}.")


class OAuth2(_Auth):
    """A token that is fetched with client credentials, and again when it has expired. Source: RFC 6749, 4.4."""

    kind: Literal["oauth2"] = Field(description="Client credentials.")
    token_url: str = Field(description="Where tokens are given.")
    client_id: str = Field(description="Who asks.")
    client_secret: str = Field(repr=False, description="As ${secret:NAME}.")
    scope: str = Field("", description="What the token is to be for; names with spaces between.")
    send: Literal["basic", "body"] = Field("basic", description="How the id and the secret are sent.")
    extra: dict[str, str] = Field(default_factory=dict, description="Further fields, such as audience.")


Auth = Annotated[Bearer | Basic | Header | Query | OAuth2, Field(discriminator="kind")]


class Authoriser:
    """Adds what lets a request in; safe to use from several threads.

    Args:
        auth: how; None for a source that lets everybody in.
        tokens: gives the exchange by which tokens are fetched.
    """

    _cached: dict[tuple[str, ...], tuple[str, float]] = {}  # noqa: RUF012  # of the process: a token serves many tasks
    _caching = threading.Lock()

    def __init__(self, auth: Auth | None, *, workspace: str, tokens: Exchange | None = None) -> None:
        self._auth = auth
        self._workspace = workspace
        self._tokens = tokens
        self._fetching = threading.Lock()

    def pairs(self, *, refused: str | None = None) -> tuple[Pairs, Pairs]:
        """Return headers and parameters to be added.

        Args:
            refused: what `Authorization` was when it was not accepted: another token is fetched, unless one is there.
        """
        match self._auth:
            case Bearer(token=token):
                return (("Authorization", _bearer(token)),), ()
            case Basic(user=user, password=password):
                return (("Authorization", f"Basic {_basic(user, password)}"),), ()
            case Header(name=name, value=value):
                return ((name, value),), ()
            case Query(name=name, value=value):
                return (), ((name, value),)
            case OAuth2() as asked:
                return (("Authorization", _bearer(self._token(asked, refused))),), ()
        return (), ()

    @property
    def renews(self) -> bool:
        """Whether another try after a 401 may help."""
        return isinstance(self._auth, OAuth2)

    def _token(self, asked: OAuth2, refused: str | None) -> str:
        key = (self._workspace, *map(str, (asked.token_url, asked.client_id, asked.client_secret, asked.scope)))
        with self._fetching:
            with self._caching:
                known = self._cached.get(key)
            if known is not None and _bearer(known[0]) != refused and known[1] > time.monotonic():
                return known[0]
            token, lasts_s = self._fetch(asked)
            with self._caching:
                self._cached[key] = token, time.monotonic() + max(lasts_s - _EARLY_S, 0)
            return token

    def _fetch(self, asked: OAuth2) -> tuple[str, float]:
        assert self._tokens is not None, "who fetches tokens has an exchange"
        fields = {"grant_type": "client_credentials", **asked.extra}
        fields |= {"scope": asked.scope} if asked.scope else {}
        headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept-Encoding", "identity")]
        if asked.send == "body":
            fields |= {"client_id": asked.client_id, "client_secret": asked.client_secret}
        else:
            pair = _basic(quote_plus(asked.client_id), quote_plus(asked.client_secret))
            headers.append(("Authorization", f"Basic {pair}"))
        request = Request(
            asked.token_url, "the token", method="POST", headers=tuple(headers), body=urlencode(fields).encode()
        )
        answer = self._tokens.send(request)
        if answer.status == 401:
            raise self._tokens.refused_401(request)
        return _token_of(answer)


def _token_of(answer: Answer) -> tuple[str, float]:
    """Return a token, and for how long it is good. The answer is of the platform's own asking, small, and no data."""
    try:
        if answer.encoding != "identity" or len(answer.body) > _ANSWER_BYTES_MAX:
            raise ValueError("too large")
        said = orjson.loads(answer.body)
        token, lasts_s = said["access_token"], float(said.get("expires_in") or _TOKEN_S)
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise ValueError("no token")
    except (ValueError, TypeError, LookupError, AttributeError):
        raise SourceRefused(
            "the answer to the request for a token has no access_token", hint="Look at the connection's token_url."
        ) from None
    return token, lasts_s


def _bearer(token: str) -> str:
    return f"Bearer {token}"


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
