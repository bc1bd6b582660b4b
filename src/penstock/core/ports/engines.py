"""The port of engines: SQL and the like, each attempt in a locked child."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from penstock.core.engines import EngineAnswer, EngineFailure, EngineRequest


class StopSign(Protocol):
    """Says whether an attempt is to end."""

    @property
    def asked(self) -> bool:
        """Whether somebody wants it to."""


class Conversation(Protocol):
    """An engine that answers one question after the other."""

    def ask(self, question: Mapping[str, Any], /) -> EngineAnswer | EngineFailure:
        """Return its answer, or why there is none; an engine that was ended answers all others so."""


class Engines(Protocol):
    """Where queries of tenants run."""

    def run(self, request: EngineRequest, *, stop: StopSign | None = None) -> EngineAnswer | EngineFailure:
        """Return what an engine answered, or how it ended without an answer.

        Raises:
            SandboxUnsafe: when engines cannot be locked here, or a forbidden act works.
            SandboxUnavailable: when one could not be started now.
        """

    def converse(self, request: EngineRequest, *, stop: StopSign | None = None) -> AbstractContextManager[Conversation]:
        """Start an engine that is asked more than once; `ask` of the request is what is common to the questions.

        Raises:
            SandboxUnsafe: when engines cannot be locked here, or a forbidden act works.
            SandboxUnavailable: when one could not be started now.
        """

    def clear(self, folder: Path) -> None:
        """Remove a folder that an engine has written, however deep its folders are."""
