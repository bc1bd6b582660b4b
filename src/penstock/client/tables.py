"""Tables of the lake: what is published, where it comes from, and queries over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from penstock.client.transport import Transport

_QUERY_S: Final = 600.0
_UPKEEP_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query.

    Attributes:
        columns: each with `name` and `type`.
        truncated: whether there are more rows than these.
        shown: everything that the server said.
    """

    columns: Sequence[Mapping[str, str]]
    rows: Sequence[Sequence[Any]]
    truncated: bool
    shown: Mapping[str, Any]


class Tables:
    """The tables of a workspace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[dict[str, Any]]:
        """Return the tables, by name, as readers see them."""
        return list(self._transport.pages("/tables"))

    def read(self, table: str) -> dict[str, Any]:
        """Return a table with its columns, and how large it is."""
        found: dict[str, Any] = self._transport.request("GET", f"/tables/{quote(table, safe='')}")
        return found

    def history(self, table: str, *, count: int = 20) -> Sequence[dict[str, Any]]:
        """Return what readers of a table have seen, newest first."""
        return list(self._transport.pages(_path(table, "history"), limit=count))

    def lineage(self, table: str, *, snapshot: str | None = None) -> dict[str, Any]:
        """Return where a snapshot comes from, with `upstream`: the same of each of its inputs."""
        tree: dict[str, Any] = self._transport.request("GET", _path(table, "lineage"), query={"snapshot": snapshot})
        return tree

    def query(self, sql: str, *, at: Mapping[str, str] | None = None, rows_max: int = 1_000) -> Answer:
        """Return the rows of one SELECT over published tables, all read at one moment.

        Args:
            sql: read-only; tables are `layer.name`.
            at: tables that are read as of a snapshot.
            rows_max: more are cut off.
        """
        asked = {"sql": sql, "at": dict(at or {}), "rows_max": rows_max}
        shown = self._transport.request("POST", "/tables/query", json=asked, timeout_s=_QUERY_S)
        return Answer(shown["columns"], shown["rows"], shown["truncated"], shown)

    def rollback(self, table: str, to: str) -> dict[str, Any]:
        """Make readers see an earlier published snapshot again; return what has changed for them."""
        published: dict[str, Any] = self._transport.request("POST", _path(table, "rollback"), json={"to": to})
        return published

    def maintain(self, table: str | None = None) -> Sequence[dict[str, Any]]:
        """Compact small files and delete what nothing refers to, of one table or of all; return what was done."""
        path = "/tables/maintain" if table is None else _path(table, "maintain")
        done = self._transport.request("POST", path, timeout_s=_UPKEEP_S)
        return [done] if table is not None else list(done["items"])


def _path(table: str, verb: str) -> str:
    return f"/tables/{quote(table, safe='')}/{verb}"
