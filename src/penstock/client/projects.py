"""Projects: deploy them, list their revisions and pipelines, pause schedules."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from penstock.client.transport import Transport

_DEPLOY_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a project's files, as the server has shown it.

    Attributes:
        revision: hash of all files.
        active: whether schedules and runs use it unless they say another.
        shown: everything that the server said; of one just deployed also `before`, `changes` and `schedules`.
    """

    project: str
    revision: str
    active: bool
    shown: Mapping[str, Any]


class Projects:
    """The projects of a workspace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def deploy(self, files: Mapping[str, bytes], *, note: str = "") -> Revision:
        """Make files the active revision of their project; the same files again are the same revision.

        Args:
            files: content by path from the project's folder.
            note: why, in a sentence.

        Raises:
            ProjectInvalid: naming every problem; then nothing has changed.
        """
        text: dict[str, str] = {}
        binary: dict[str, str] = {}
        for name, content in files.items():
            try:
                text[name] = content.decode()
            except UnicodeDecodeError:
                binary[name] = base64.b64encode(content).decode()
        asked = {"files": text, "binary": binary, "note": note}
        # What is deployed twice is one revision: it may be sent again after an outage.
        headers = {"Idempotency-Key": "deploy"}
        return _revision(self._transport.request("POST", "/projects", json=asked, headers=headers, timeout_s=_DEPLOY_S))

    def list(self) -> Sequence[Revision]:
        """Return the active revision of each project."""
        return [_revision(shown) for shown in self._transport.pages("/projects")]

    def revisions(self, project: str) -> Sequence[Revision]:
        """Return the revisions of a project, newest first."""
        return [_revision(shown) for shown in self._transport.pages(f"/projects/{quote(project, safe='')}/revisions")]

    def activate(self, project: str, revision: str) -> Revision:
        """Make an earlier revision the active one again."""
        path = f"/projects/{quote(project, safe='')}/revisions/{quote(revision, safe='')}/activate"
        return _revision(self._transport.request("POST", path))

    def pipelines(self, project: str | None = None) -> Sequence[dict[str, Any]]:
        """Return the pipelines of the active revisions, each with its schedule or none."""
        return list(self._transport.pages("/pipelines", query={"project": project}))

    def pause(self, project: str, pipeline: str, *, paused: bool) -> dict[str, Any]:
        """Keep a pipeline's schedule from running it, or let it run it again; return the schedule."""
        verb = "pause" if paused else "resume"
        path = f"/pipelines/{quote(project, safe='')}/{quote(pipeline, safe='')}/{verb}"
        schedule: dict[str, Any] = self._transport.request("POST", path)
        return schedule


def _revision(shown: Mapping[str, Any]) -> Revision:
    return Revision(shown["project"], shown["revision"], shown["active"], shown)
