"""Carrying out runs of pipelines of a served API, by a worker inside the test's process."""

from __future__ import annotations

import contextlib
import threading
import time

from penstock.core.jobs import ENDED
from penstock.core.runs import RunFilter
from penstock.sandbox.open_versions import OpenVersions
from penstock.wiring.pipelines import assemble_attempts
from penstock.worker.in_process import InProcessWorker
from tests.serving import Api, Tenant

_PATIENCE_S = 60.0
SHOP = {
    "penstock.yml": "name: shop\nconnections:\n  here: {kind: files, path: data}\n",
    "pipelines/sales.yml": """\
description: Orders as they came.
schedule: {cron: "0 2 * * *", timezone: America/Sao_Paulo}
tasks:
  land: {kind: ingest, from: {connection: here, path: "*.ndjson"}, to: raw.orders}
""",
    "data/orders.ndjson": '{"id":1,"total":2.5}\n{"id":2,"total":3.0}\nnot json\n',
}


class Working:
    """A worker beside the test, until the end of the block."""

    def __init__(self, api: Api, tenant: Tenant) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=carry_out, args=[api, tenant], kwargs={"over": self._over})

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(_PATIENCE_S)


def carry_out(api: Api, tenant: Tenant, *, over: threading.Event | None = None) -> None:
    """Carry out the runs of a tenant until all of them have ended, and somebody says that it is over."""
    server = api.server
    actor = server.keys.authenticate(tenant.api_key, origin="test")
    attempts = assemble_attempts(
        server.settings,
        server.database,
        projects=server.projects,
        clock=time.time,
        lake=server.lake,
        strict=server.sandbox,
        heavy=server.engines,
        secret=lambda _workspace, name: name,
        resolve=lambda _workspace, url: server.egress.check(url, policy=server.workspaces.read(actor=actor).policy),
        files=lambda _workspace: None,
        parallel=1,
    )
    with contextlib.closing(OpenVersions(server.sandbox, seats=2)) as versions:
        worker = InProcessWorker(
            server.work, attempts, lambda _lease: versions.for_part(actor.workspace), server.queue.wait, places=1
        )
        with worker:
            until_s = time.monotonic() + _PATIENCE_S
            while (over is not None and not over.is_set()) or any(
                run.state not in ENDED for run in server.runs.list(RunFilter(), actor=actor)
            ):
                assert time.monotonic() < until_s, "the runs do not end"
                worker.turn()
