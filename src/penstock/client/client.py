"""The typed client of a Penstock server; the command line uses it too."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from penstock.client.transport import Transport

if TYPE_CHECKING:
    from penstock.client.incidents import Incidents
    from penstock.client.jobs import Jobs
    from penstock.client.projects import Projects
    from penstock.client.runs import Runs
    from penstock.client.scripts import Scripts
    from penstock.client.tables import Tables
    from penstock.client.workspace import WorkspaceClient


class Client:
    """One server, as one member.

    Example:
        >>> with Client("http://127.0.0.1:8400", api_key) as penstock:  # doctest: +SKIP
        ...     job = penstock.jobs.submit("clean_orders", [{"id": 1}], wait_s=30)
        ...     print(penstock.jobs.records(job.id))
    """

    def __init__(self, url: str, api_key: str, *, timeout_s: float = 30.0) -> None:
        self.transport = Transport(url, api_key, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self.transport.close()

    def health(self) -> dict[str, Any]:
        """Return the state of the server."""
        health: dict[str, Any] = self.transport.request("GET", "/health")
        return health

    @cached_property
    def jobs(self) -> Jobs:
        """Submit jobs, watch them, fetch what they gave."""
        from penstock.client.jobs import Jobs

        return Jobs(self.transport)

    @cached_property
    def scripts(self) -> Scripts:
        """Scripts, their versions, and approvals."""
        from penstock.client.scripts import Scripts

        return Scripts(self.transport)

    @cached_property
    def projects(self) -> Projects:
        """Deploy projects, list their revisions and pipelines, pause schedules."""
        from penstock.client.projects import Projects

        return Projects(self.transport)

    @cached_property
    def runs(self) -> Runs:
        """Plan, start and watch runs of pipelines, back-fill, read what they said."""
        from penstock.client.runs import Runs

        return Runs(self.transport)

    @cached_property
    def incidents(self) -> Incidents:
        """What is wrong with pipelines since when, what is over, and whom it was told."""
        from penstock.client.incidents import Incidents

        return Incidents(self.transport)

    @cached_property
    def tables(self) -> Tables:
        """Tables of the lake: where they come from, queries over them."""
        from penstock.client.tables import Tables

        return Tables(self.transport)

    @cached_property
    def workspace(self) -> WorkspaceClient:
        """Members, keys, secrets, quotas and audit of the workspace."""
        from penstock.client.workspace import WorkspaceClient

        return WorkspaceClient(self.transport)
