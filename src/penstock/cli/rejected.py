"""Some of the records that a failed task has rejected: where each is from, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.core.errors import UserError

if TYPE_CHECKING:
    from penstock.cli.place import Place, View

_SHOWN: Final = 3
_TABLE: Final = "__rejected"
_KIND: Final = r"regexp_extract(error, '^(script_error: [^:]*|.*)', 1)"


def rejected_records(place: Place, run: View) -> dict[str, list[list[Any]]]:
    """Return some rejected records of each failed task: table, source, line and kind of error, where rows may be read.

    What an exception says is left in the table: a script, and Python itself, put values of the record into it.
    """
    found: dict[str, list[list[Any]]] = {}
    for task in run["tasks"]:
        report = {**task["report"], **((task["error"] or {}).get("figures") or {})}
        target = task["spec"].get("to")
        if task["state"] != "failed" or not report.get("rejected") or not isinstance(target, str):
            continue
        table = f"{target}{_TABLE}"
        sql = f"SELECT _source, line, {_KIND} AS error FROM {table} WHERE _run = '{run['id']}' ORDER BY _source, line"
        try:
            rows = place.query(sql, at={}, rows_max=_SHOWN)["rows"]
        except UserError:  # who may not read rows, or whose rows are gone, sees the account all the same
            continue
        found[task["name"]] = [[table, *row] for row in rows]
    return found
