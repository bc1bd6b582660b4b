"""Logs: one event a line on standard error, JSON unless somebody watches a terminal.

An event is a literal `noun.past_verb`, and what belongs to it are fields. Never a payload's value, never a secret.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import orjson

from penstock.base.lazily import Lazily

if TYPE_CHECKING:
    import structlog
else:
    structlog = Lazily("structlog")  # and all of rich with it: most commands log nothing


def configure_logs(*, as_json: bool | None = None) -> None:
    """Send logs to standard error; None chooses by whether that is a terminal."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    renderers: list[Any] = (
        [structlog.processors.JSONRenderer(_as_json)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=True), _as_bytes]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        # Past the layer that makes bytes of text: before CPython 3.12.5, threads that use it at once may crash the
        # process, or put other memory into the log. Source: issues 118138 and 119506 of github.com/python/cpython.
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=False,
    )


def _as_json(event: Any, **_options: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _as_bytes(_logger: object, _method: str, line: str) -> bytes:
    return line.encode(errors="replace")


def get_log() -> Any:
    """Return a logger; its methods take an event and fields."""
    return structlog.get_logger()
