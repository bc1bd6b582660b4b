"""How an engine that gave no answer is told to the owner of the query."""

from __future__ import annotations

import re
from typing import Final

from penstock.base.disks import ROOM_HINT
from penstock.core.engines import EngineFailure
from penstock.core.errors import SpoolFull, TaskFailed

_HINTS: Final = {
    "sql_failed": "Correct the query.",
    "limit_memory": "Let the query hold less at once: fewer columns, a filter before the join, a window of one day.",
    "limit_disk": "Let the query write less, or look at the join: it may match far more rows than it should.",
    "limit_wall": "Let the query do less, or read less: a window of one day.",
    "limit_cpu": "Let the query do less, or read less: a window of one day.",
    "limit_output": "Ask for fewer rows, or write them to a table.",
    "forbidden_call": "Leave out what reaches for files or the network: a query reads the tables that it names.",
    "crashed": "Run it again. When it happens again, simplify the query, and report it.",
}


_NO_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")


def failed(failure: EngineFailure, what: str) -> TaskFailed:
    """Return the error of an engine's failure.

    Args:
        failure: of the engine; its words hold no values of rows.
        what: was being done, such as `the query`.

    Raises:
        SpoolFull: when the disk is full; nobody's query is to blame for that.
    """
    if failure.code == "disk_full":
        raise SpoolFull(f"{what} cannot put aside what it needs: {failure.message}", hint=ROOM_HINT)
    where = f" in line {failure.line}" if failure.line is not None else ""
    known = {"code": failure.code, "line": failure.line, "cpu_s": round(failure.cpu_s, 3)}
    return TaskFailed(
        f"{what} failed{where}: {failure.message}",
        hint=_hint(failure),
        figures={name: value for name, value in known.items() if value is not None},
    )


def _hint(failure: EngineFailure) -> str:
    if found := _NO_TABLE.search(failure.message):
        return (
            f"Name the tables that it reads under from, such as from: {{{found[1][:60].rstrip('!')}: staging.orders}}."
        )
    return _HINTS.get(failure.code, "Correct the query.")
