"""What ingests and exports have in common: a connection by its name, and what its kind lets a task say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ValidationError

from penstock.base.nearest import nearest
from penstock.core.errors import TaskFailed
from penstock.core.ports import Connector, PipelineContext
from penstock.core.projects import Project, ProjectProblem, Task
from penstock.project.checking import check_part

Side = Literal["from", "to"]


def connection_problems(
    task: Task, project: Project, connectors: Mapping[str, Connector], side: Side, said: Mapping[str, Any]
) -> Iterator[ProjectProblem]:
    """Yield what is wrong with the connection that a task names, and with what it says of it."""
    name = said.get("connection")
    if name is None:
        hint = f"Add connection: to it. {nearest('', project.connections)}"
        yield ProjectProblem("project_invalid", f"{side}: 'connection' is missing", task.place_of(side), hint)
        return
    connection = project.connections.get(str(name))
    if connection is None:
        place, hint = task.place_of(side, "connection"), nearest(str(name), project.connections)
        yield ProjectProblem("project_invalid", f"there is no connection {name!r}", place, hint)
        return
    connector = connectors.get(connection.kind)
    if connector is None:
        return
    model = _model(connector, side)
    if model is None:
        verb = "read from" if side == "from" else "written to"
        words = f"nothing can be {verb} a connection of the kind {connection.kind}"
        able = [kind for kind, each in connectors.items() if _model(each, side) is not None]
        place = task.place_of(side, "connection")
        yield ProjectProblem("project_invalid", words, place, f"Kinds that can: {', '.join(sorted(able))}.")
        return
    rest = {key: value for key, value in said.items() if key != "connection"}
    yield from check_part(model, task, side, value=rest)[1]


def connected(ctx: PipelineContext, side: Side, said: Mapping[str, Any]) -> tuple[str, Connector, Any, Any]:
    """Return a connection's name, its connector, its settings with secrets in their places, and what is said of it.

    Raises:
        TaskFailed: when what is said does not fit any more, since parts of it came with the run.
    """
    name = str(said["connection"])
    kind = ctx.project.connections[name].kind
    connector: Connector = ctx.connector(kind)
    rest = {key: value for key, value in said.items() if key != "connection"}
    try:
        wanted = _model(connector, side).model_validate(rest)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, (side, *first["loc"])))
        words = first["msg"].removeprefix("Value error, ")
        raise TaskFailed(f"{place}: {words}", hint="Look at the parameters of the run.") from None
    return name, connector, ctx.connection(name), wanted


def _model(connector: Connector, side: Side) -> Any:
    return connector.From if side == "from" else connector.To
