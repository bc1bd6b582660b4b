"""Incidents in words for a terminal, from what the API says of them. Every function returns lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from penstock.base.text import harmless
from penstock.cli.run_texts import aligned, moment

View = Mapping[str, Any]
_KINDS: Final = {"failed": "failed", "late": "late", "check_failed": "check failed"}
_COLOURS: Final = {"open": "red", "closed": "green"}
_HEADS: Final = ("state", "what", "pipeline", "date", "since", "until", "runs", "first run", "told")
_TEXT_MAX: Final = 300
_UNKNOWN: Final = "whom the pipeline names"  # as long as no worker has looked who that is


def incident_lines(incidents: Sequence[View]) -> Iterator[str]:
    """Yield a line for each incident, and below it one for each of those who could not be told, or not yet."""
    rows = [
        [
            each["state"],
            _KINDS[each["kind"]],
            f"{each['project']}/{each['pipeline']}",
            each["date"] or "-",
            moment(each["opened_at"]),
            moment(each["closed_at"]),
            f"{each['runs']:,}",
            each["run"] or "none was made",
            _told(each),
        ]
        for each in incidents
    ]
    head, *lines = aligned([_HEADS, *rows])
    yield click.style(head, bold=True)
    for incident, line in zip(incidents, lines, strict=True):
        state = incident["state"]
        yield click.style(state, fg=_COLOURS[state]) + line.removeprefix(state)
        for told in incident["told"]:
            if told["error"] and told["state"] != "sent":
                yield f"  {_trouble(told)}"


def _told(incident: View) -> str:
    if incident["telling"] == "nobody":
        return "nobody is named"
    states: dict[str, set[str]] = {}
    for told in incident["told"]:
        states.setdefault(told["to"] or _UNKNOWN, set()).add(told["state"])
    if states.keys() == {_UNKNOWN} and states[_UNKNOWN] == {"waiting"}:
        return "nobody yet"
    words = {"failed": " (failed)", "waiting": " (not yet)"}
    return ", ".join(
        name + next((word for state, word in words.items() if state in found), "") for name, found in states.items()
    )


def _trouble(told: View) -> str:
    whom = harmless(told["to"] or "nobody")
    given_up = f"given up after {told['attempts']} tries"
    then = given_up if told["state"] == "failed" else f"tried again at {moment(told['next_at'])}"
    not_told = "was not told" if told["to"] else "could be told"
    return f"{whom} {not_told} of its {told['of']}: {harmless(told['error'][:_TEXT_MAX])}; {then}"
