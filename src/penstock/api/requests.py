"""What is known of one request while it is answered: for its log line, its figures and its audit events."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.core.access import Actor
from penstock.core.errors import PenstockError

_KEY: Final = "penstock.facts"


class ClientGone(Exception):
    """The other end has closed the connection before its request was whole."""


@dataclass(slots=True)
class RequestFacts:
    """One request.

    Attributes:
        asked: method and path, for the audit log.
        actor: who asks, once that is known.
        entered: whether it counts among those of its workspace that are answered now.
        error: what the request ended with, when that was an error.
        notes: more fields for the log line.
    """

    request_id: str
    origin: str
    asked: str = ""
    started_s: float = field(default_factory=time.monotonic)
    actor: Actor | None = None
    entered: bool = False
    error: PenstockError | None = None
    received_bytes: int = 0
    sent_bytes: int = 0
    status: int = 0
    notes: dict[str, str | int | float] = field(default_factory=dict)


def keep_facts(scope: MutableMapping[str, Any], facts: RequestFacts) -> None:
    """Tie facts to a request."""
    scope[_KEY] = facts


def facts_of(scope: MutableMapping[str, Any]) -> RequestFacts:
    """Return the facts of a request."""
    facts: RequestFacts = scope[_KEY]
    return facts
