"""Where projects run: in the folder that a command is called in, or on the server that one is logged in to.

Commands speak to a Place, and get what the API shows: what they print is the same in both cases.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import click

from penstock.core.errors import InputNotFound, UsageError

View = dict[str, Any]
Watch = Callable[[View], None]
MANIFEST: Final = "penstock.yml"
LAST: Final = "last"
server_option = click.option("--server", is_flag=True, help="On the server that you are logged in to, not here.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Place(Protocol):
    """What commands ask for; every View has the form of the API."""

    @property
    def flag(self) -> str:
        """Return what commands that are named in hints need to mean the same place."""

    def plan(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Return what a run would do."""

    def start(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Begin a run, and return it."""

    def backfill(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Begin a back-fill, and return it."""

    def read_backfill(self, backfill: str) -> View:
        """Return a back-fill."""

    def backfills(self, *, limit: int) -> Sequence[View]:
        """Return back-fills, newest first."""

    def follow(self, run: str, watch: Watch) -> View:
        """Tell what becomes of a run, and return it once it has ended."""

    def follow_backfill(self, backfill: str, watch: Watch) -> View:
        """Tell what becomes of a back-fill, and return it once all its runs have ended."""

    def resume(self, run: str) -> View:
        """Go on with a run."""

    def cancel(self, run: str) -> View:
        """End a run."""

    def resume_backfill(self, backfill: str) -> View:
        """Go on with a back-fill."""

    def cancel_backfill(self, backfill: str) -> View:
        """End a back-fill."""

    def read(self, run: str) -> View:
        """Return all that is known of a run; `last` is the newest."""

    def runs(self, *, limit: int, **wanted: Any) -> Sequence[View]:
        """Return runs, newest first, without their tasks."""

    def logs(self, run: str, *, task: str | None, after: int) -> Sequence[View]:
        """Return what tasks have said, each with its `cursor`."""

    def checks(self, *, run: str | None, table: str | None, limit: int) -> Sequence[View]:
        """Return results of suites, newest first."""

    def tables(self) -> Sequence[View]:
        """Return the tables by name."""

    def table(self, name: str) -> View:
        """Return a table with its columns."""

    def history(self, table: str, *, count: int) -> Sequence[View]:
        """Return what readers of a table have seen."""

    def lineage(self, table: str, *, snapshot: str | None) -> View:
        """Return where a snapshot comes from, as a tree."""

    def query(self, sql: str, *, at: Mapping[str, str], rows_max: int) -> View:
        """Return the rows of a query."""

    def rollback(self, table: str, to: str) -> View:
        """Make readers see an earlier snapshot again."""

    def maintain(self, table: str | None) -> Sequence[View]:
        """Do the upkeep of a table, or of all."""

    def schedules(self) -> Sequence[View]:
        """Return the schedules."""

    def pause(self, pipeline: str, *, paused: bool) -> View:
        """Pause a schedule, or let it go on."""


@contextlib.contextmanager
def open_place(*, server: bool) -> Iterator[Place]:
    """Give the place that a command is for.

    Raises:
        InputNotFound: when it is this folder, and that is no project's.
        NotLoggedIn: when it is a server, and nobody is logged in.
    """
    if server:
        from penstock.cli.connection import open_client
        from penstock.cli.place_server import ServerPlace

        with open_client() as client:
            yield ServerPlace(client, _name_here())
        return
    from penstock.cli.place_local import LocalPlace
    from penstock.wiring.local import open_local

    folder = project_folder()
    require_project(folder)
    with open_local(folder) as local, contextlib.closing(LocalPlace(local)) as place:
        yield place


def project_folder() -> Path:
    """Return the folder of the project that one is in: this one, or the nearest above it with a penstock.yml."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / MANIFEST).is_file()), here)


def require_project(folder: Path) -> None:
    """Return when there is a project in a folder.

    Raises:
        InputNotFound: when there is none.
    """
    if not (folder / MANIFEST).is_file():
        raise InputNotFound(
            f"{folder} is not the folder of a project: there is no {MANIFEST}",
            hint="Change into one, make one with `penstock init NAME`, or add --server.",
        )


def split_name(pipeline: str | None, project: str | None) -> tuple[str, str | None]:
    """Return project and pipeline of `project/pipeline`; of a pipeline alone, the project is the folder's.

    Raises:
        UsageError: when nothing says which project is meant.
    """
    before, slash, after = (pipeline or "").rpartition("/")
    if slash:
        return before, after or None
    if project is None:
        raise UsageError(
            "nothing says which project is meant", hint="Name it as PROJECT/PIPELINE, or change into its folder."
        )
    return project, pipeline


def _name_here() -> str | None:
    """Return the name of the project in this folder; None outside of one."""
    import yaml

    try:
        found = yaml.safe_load((project_folder() / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    name = found.get("name") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None
