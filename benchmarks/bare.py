"""Bare forks of a version zygote, in the same state as one whose children run chunks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from penstock.core.scripts import ScriptVersion
from penstock.sandbox import strict
from penstock.sandbox.zygotes import BaseZygote, VersionZygote
from penstock_guest import wire

_BOOT: Final = Path(__file__).with_name("boots") / "bare.py"


class BareZygote:
    """A version zygote that forks children which end at once."""

    def __init__(self, zygote: VersionZygote, arenas_bytes: tuple[int, int]) -> None:
        self._zygote = zygote
        self._arenas_bytes = arenas_bytes

    def fork(self, times: int) -> dict[str, float]:
        """Fork, end and wait for so many children in turn; return `cpu_s` and `wall_s` of all of it."""
        fds = [os.memfd_create("arena") for _ in range(3)]
        try:
            for fd, size_bytes in zip(fds[1:], self._arenas_bytes, strict=True):
                os.ftruncate(fd, size_bytes)
            self._zygote.turn(park=times, fds=fds)
            cost: dict[str, float] = orjson.loads(self._zygote.channel.recv(wire.MESSAGE_BYTES_MAX))
        finally:
            for fd in fds:
                os.close(fd)
        return cost


@contextlib.contextmanager
def bare_zygote(script: ScriptVersion) -> Iterator[BareZygote]:
    """Prepare a script version as the sandbox does, for bare forks."""
    spec: dict[str, Any] = strict._script_spec(script)  # noqa: SLF001  # the same zygote is the point
    with (
        contextlib.closing(BaseZygote(script.profile, boot=_BOOT)) as base,
        contextlib.closing(base.fork_version(spec, script.source)) as zygote,
    ):
        yield BareZygote(zygote, (spec["input_bytes"], spec["output_bytes"] + wire.HEADER_BYTES))
