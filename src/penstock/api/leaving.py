"""Work that is worth nothing once whoever asked for it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from penstock.api.requests import ClientGone
from penstock.core.engines import Stop
from penstock.core.ports.engines import StopSign

Answer = TypeVar("Answer")


async def while_asked(request: Request, work: Callable[[StopSign], Answer]) -> Answer:
    """Return what work gives; it is asked to stop as soon as the client closes its connection.

    Args:
        request: whose body has come.
        work: done in a thread; it looks at its sign now and then.

    Raises:
        ClientGone: when nobody is there to be answered.
    """
    stop = Stop()
    working = asyncio.ensure_future(run_in_threadpool(work, stop))
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        stop.ask()
        await asyncio.wait({working})
        working.exception()  # nobody is told
        raise ClientGone
    finally:
        stop.ask()  # the server may end meanwhile
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
