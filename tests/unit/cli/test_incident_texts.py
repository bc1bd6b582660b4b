"""Incidents on a terminal."""

from __future__ import annotations

import click

from penstock.cli.incident_texts import incident_lines

TOLD = {"of": "begin", "attempts": 1, "next_at": None, "error": None}
INCIDENT = {
    "project": "shop",
    "pipeline": "sales",
    "kind": "check_failed",
    "state": "open",
    "run": "run_1",
    "date": "2026-05-01",
    "opened_at": "2026-05-01T16:02:00.000Z",
    "closed_at": None,
    "runs": 3,
    "telling": "failed",
    "told": [
        {**TOLD, "to": "team", "state": "sent"},
        {**TOLD, "to": "boss", "state": "failed", "attempts": 16, "error": "it refuses\x1b[31m the alert"},
    ],
}


def test_an_incident_is_a_line_and_who_was_not_told_another():
    over = {**INCIDENT, "state": "closed", "closed_at": "2026-05-02T16:02:00.000Z", "run": None, "told": []}
    lines = [
        " ".join(click.unstyle(line).split())
        for line in incident_lines([INCIDENT, {**over, "kind": "late", "date": None, "runs": 1, "telling": "nobody"}])
    ]
    assert lines == [
        "state what pipeline date since until runs first run told",
        "open check failed shop/sales 2026-05-01 2026-05-01 16:02:00Z - 3 run_1 team, boss (failed)",
        "boss was not told of its begin: it refuses\N{REPLACEMENT CHARACTER}[31m the alert; given up after 16 tries",
        "closed late shop/sales - 2026-05-01 16:02:00Z 2026-05-02 16:02:00Z 1 none was made nobody is named",
    ]


def test_an_incident_that_no_worker_has_looked_at_says_that_nobody_is_told_yet():
    begun = {**TOLD, "to": None, "state": "waiting"}
    [_, line] = map(click.unstyle, incident_lines([{**INCIDENT, "telling": "waiting", "told": [begun]}]))
    assert line.endswith("run_1      nobody yet")
    closed = [{**begun, "to": "team", "state": "sent"}, {**begun, "of": "end", "error": "no answer", "next_at": None}]
    [_, line, trouble] = map(click.unstyle, incident_lines([{**INCIDENT, "telling": "waiting", "told": closed}]))
    assert line.endswith("team, whom the pipeline names (not yet)")
    assert "nobody could be told of its end: no answer" in trouble
