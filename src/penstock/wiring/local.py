"""Pipelines without a server: the same rooms, in this process, with their state in a folder of the project."""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.access.egress import HttpEgress
from penstock.core.access import Actor, Destination, MemberId, Policy, WorkspaceId, local_actor
from penstock.core.errors import NotFound, SchemaUnknown
from penstock.core.projects import Project
from penstock.core.settings import HOME
from penstock.sandbox.open_versions import OpenVersions
from penstock.wiring.pipelines import assemble_attempts, cores
from penstock.wiring.server import Server, open_server
from penstock.wiring.settings import read_settings

if TYPE_CHECKING:
    from penstock.execution.task_attempts import TaskAttempts
    from penstock.usecases.projects import Projects
    from penstock.usecases.runs import Runs
    from penstock.usecases.tables import Tables

LOCAL: Final = WorkspaceId("ws_local")
FOLDER: Final = Path(".penstock", "local")
_EVERYWHERE: Final = Policy(("0.0.0.0/0", "::/0"))  # whoever runs it could reach it anyhow


@dataclass(frozen=True, slots=True)
class Local:
    """Everything that commands without a server use.

    Attributes:
        folder: of the project.
        carrying: what carries out tasks; made when first needed.
        versions: the sandbox of each of them.
    """

    folder: Path
    server: Server
    carrying: Callable[[], TaskAttempts]
    versions: OpenVersions
    actor: Actor

    @property
    def attempts(self) -> TaskAttempts:
        """What carries out tasks."""
        return self.carrying()

    @property
    def projects(self) -> Projects:
        """What can be asked of projects."""
        return self.server.projects

    @property
    def runs(self) -> Runs:
        """What can be asked of runs."""
        return self.server.runs

    @property
    def tables(self) -> Tables:
        """What can be asked of tables."""
        return self.server.tables

    def use(self, files: Mapping[str, bytes]) -> Project:
        """Make files the project's active revision, and return it.

        Raises:
            ProjectInvalid: with every problem of every file.
        """
        project = self.projects.check(files)
        self.projects.keep(LOCAL, project)
        known = {each.project: each.revision for each in self.projects.list(actor=self.actor)}
        if known.get(project.name) != project.revision:
            self.projects.deploy_checked(project, actor=self.actor)
        return project


@contextlib.contextmanager
def open_local(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Local]:
    """Open what a project's folder keeps of its runs and tables, and end everything at the end.

    Args:
        folder: of the project.
        environment: where secrets come from; the process's own when not given.

    Raises:
        SchemaUnknown: when another version has worked in the folder; the hint's command is for the folder's database.
    """
    known = os.environ if environment is None else environment
    settings = read_settings({HOME.name: str(folder / FOLDER)})
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(open_server(settings, create=True, alerts=False))
        except SchemaUnknown as error:
            command = f"PENSTOCK_HOME={shlex.quote(str(folder / FOLDER))} penstock db"
            raise SchemaUnknown(error.message, hint=error.hint.replace("penstock db", command)) from error
        versions = stack.enter_context(contextlib.closing(OpenVersions(server.sandbox, seats=cores() + 1)))
        yield Local(folder, server, functools.cache(lambda: _carrying(server, known, folder)), versions, _whoever())


def _carrying(server: Server, environment: Mapping[str, str], folder: Path) -> TaskAttempts:
    return assemble_attempts(
        server.settings,
        server.database,
        projects=server.projects,
        clock=time.time,
        lake=server.lake,
        strict=server.sandbox,
        heavy=server.engines,
        secret=lambda _workspace, name: _secret(environment, name),
        resolve=_resolve,
        files=lambda _workspace: folder.absolute(),
        parallel=cores(),
    )


def _whoever() -> Actor:
    """Return who runs the command, by the name that the machine has for them: runs say who has started them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return local_actor(LOCAL)
    return replace(local_actor(LOCAL), member=MemberId(name), name=name)


def _secret(environment: Mapping[str, str], name: str) -> str:
    if name not in environment:
        raise NotFound(
            f"the secret {name} is not there",
            hint=f"Without a server, secrets come from the environment: export {name}=...",
        )
    return environment[name]


def _resolve(_workspace: str, url: str) -> Destination:
    return HttpEgress().check(url, policy=_EVERYWHERE)
