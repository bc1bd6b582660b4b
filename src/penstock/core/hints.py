"""Hints as a server gives them: a command that works on a folder, too, has to say that it means the server."""

from __future__ import annotations

import re
from typing import Any, Final

# Every command with --server, the longer names first; a test holds them to the commands there are.
BOTH: Final = (
    "schedules pause",
    "schedules resume",
    "tables maintain",
    "tables show",
    *("backfill", "cancel", "checks", "lineage", "logs", "plan", "query", "resume", "rollback", "run"),
    *("schedules", "status", "tables"),
)
_COMMAND: Final = re.compile(rf"\bpenstock (?:{'|'.join(BOTH)})(?![-\w])(?!\s+--server)")
_ONE_TABLE: Final = re.compile(r"\bpenstock tables (?=\w+\.\w)")  # an option before the name would be the group's


def for_server(hint: str) -> str:
    """Return a hint whose commands go to the server that one is logged in to."""
    if "penstock" not in hint or "--server" in hint:
        return hint
    return _COMMAND.sub(r"\g<0> --server", _ONE_TABLE.sub("penstock tables show ", hint))


def with_server_hints(shown: dict[str, Any]) -> dict[str, Any]:
    """Return a run, a task or an item as it is shown, with the commands of its errors as a server gives them."""
    for each in (shown, *shown.get("tasks", ())):
        if error := each.get("error"):
            commands = {name: for_server(error[name]) for name in ("hint", "resume") if error.get(name)}
            each["error"] = {**error, **commands}
    return shown
