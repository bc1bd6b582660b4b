"""Alerts without a server: a person tries out whether they arrive."""

from __future__ import annotations

import os
from collections.abc import Mapping

from penstock.access.alerts import ProcessSender
from penstock.core.errors import NotFound
from penstock.core.projects import Project
from penstock.usecases.alerts import try_alert


def try_out(project: Project, name: str, *, environment: Mapping[str, str] | None = None) -> None:
    """Send a test to one of a project's names, with secrets from the environment.

    Raises:
        NotFound: when the project has no such name, or a secret is not there.
        AlertRefused: when the URL is not understood, or the receiver refuses it.
        DestinationUnavailable: when it cannot be reached now.
    """
    known = os.environ if environment is None else environment

    def secret(wanted: str) -> str:
        if wanted not in known:
            raise NotFound(
                f"the secret {wanted} is not there",
                hint=f"Without a server, secrets come from the environment: export {wanted}=...",
            )
        return known[wanted]

    try_alert(project, name, sender=ProcessSender(), secrets=secret)
