"""Incidents of pipelines: what is wrong since when, what is over, and whom it was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from penstock.client.transport import Transport


class Incidents:
    """The incidents of a workspace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = 50, **wanted: str | None) -> Sequence[dict[str, Any]]:
        """Return incidents, newest first, each with what people were told of it.

        Args:
            limit: how many; None for all.
            wanted: `project`, `pipeline`, and `state`: `open` or `closed`.
        """
        return list(self._transport.pages("/incidents", query=wanted, limit=limit))

    def read(self, incident: str) -> dict[str, Any]:
        """Return an incident.

        Raises:
            NotFound: when the workspace has none under that id.
        """
        found: dict[str, Any] = self._transport.request("GET", f"/incidents/{quote(incident, safe='')}")
        return found
