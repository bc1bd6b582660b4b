"""What one would build on Celery + Redis for jobs of others' code: `python celery_http.py URL worker CODE | api PORT`.

A Starlette app takes a record, a Celery worker (two processes) starts bubblewrap with a fresh Python for it and
without network, the app waits for the result and answers with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from celery import Celery

_URL, _WHAT, _LAST = sys.argv[1:4]
_JAIL = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
_LINKS = ["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"]
_FILES = ["--ro-bind", "/usr", "/usr", *_LINKS, "--dev", "/dev"]
_GUEST = """
import json, sys
scope = {}
exec(sys.argv[1], scope)
print(json.dumps(scope["process"](json.loads(sys.stdin.read()))))
"""
app = Celery("bench", broker=_URL, backend=_URL)
app.conf.update(
    task_acks_late=True, worker_prefetch_multiplier=1, result_expires=60, broker_connection_retry_on_startup=True
)


@app.task(name="run")
def run(record: dict[str, Any]) -> dict[str, Any]:
    """Put a record through the script in a sandbox of its own."""
    done = subprocess.run(
        [*_JAIL, *_FILES, "/usr/bin/python3", "-I", "-S", "-c", _GUEST, _LAST],
        input=json.dumps(record),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def serve(port: int) -> None:
    """Take jobs over HTTP."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def carry_out(record: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = run.delay(record).get(timeout=60)
        return found

    async def jobs(request: Request) -> JSONResponse:
        record = (await request.json())["input"][0]
        return JSONResponse({"state": "succeeded", "output": await run_in_threadpool(carry_out, record)})

    routes = [Route("/api/v1/jobs", jobs, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    if _WHAT == "api":
        serve(int(_LAST))
    else:
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
        app.worker_main(["worker", "--pool=prefork", "--concurrency=2", *quiet])
