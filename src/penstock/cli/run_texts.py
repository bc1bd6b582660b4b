"""Runs and plans in words for a terminal, from what the API and `--json` say of them. Every function returns lines."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from penstock.base.text import count, duration, harmless, size
from penstock.cli.check_queries import rows_query

COLOURS: Final = {
    "succeeded": "green",
    "skipped": "bright_black",
    "failed": "red",
    "blocked": "yellow",
    "cancelled": "yellow",
    "running": "cyan",
    "queued": "blue",
    "waiting": "bright_black",
    "run": "cyan",
    "decide": "blue",
    "skip": "bright_black",
}
_SHORT: Final = 12  # characters of a revision that tell it from all others
_VERDICTS_SHOWN: Final = 5
_SAMPLES_SHOWN: Final = 3
_CAUSES_SHOWN: Final = 5
_TABLES_SHOWN: Final = 6
_TEXT_MAX: Final = 300
View = Mapping[str, Any]


def plan_lines(plan: View) -> Iterator[str]:
    """Yield what a run would do: a line for each task, then how many of which kind."""
    yield click.style(f"{plan['pipeline']} of {plan['project']}{_day(plan)}", bold=True)
    tasks = plan["tasks"]
    cells = [[task["action"], task["name"], task["kind"], _ways(task), task["reason"]] for task in tasks]
    yield from (f"  {line}" for line in aligned(cells, state_at=0))
    counts = {action: sum(task["action"] == action for task in tasks) for action in ("run", "decide", "skip")}
    words = {"run": "to run", "decide": "to be decided on the way", "skip": "up to date"}
    said = ", ".join(f"{number} {words[action]}" for action, number in counts.items() if number)
    yield f"{count(len(tasks), 'task')}: {said or 'nothing to do'}"


def run_list_lines(runs: Sequence[View]) -> Iterator[str]:
    """Yield a line for each run."""
    cells = [
        [
            run["id"],
            run["state"],
            moment(run["created_at"]),
            f"{run['project']}/{run['pipeline']}",
            run["date"] or "-",
            run["trigger"],
            run["started_by"],
            run_took(run),
        ]
        for run in runs
    ]
    head, *lines = aligned([["run", "state", "created", "pipeline", "date", "by", "who", "took"], *cells], state_at=1)
    yield click.style(head, bold=True)
    yield from lines


def run_lines(
    run: View, *, flag: str = "", rejected: Mapping[str, Sequence[Sequence[Any]]] | None = None
) -> Iterator[str]:
    """Yield all that is known of a run: whose it is, its tasks, and of each that failed what, where and whose.

    Args:
        run: as the API shows it.
        flag: what commands need to mean the same place, such as ` --server`.
        rejected: by task, some records that it rejected: table, source, line and error of each.
    """
    yield from _head_lines(run)
    yield ""
    yield from task_lines(run["tasks"])
    for task in run["tasks"]:
        if task["state"] == "failed":
            yield ""
            yield from _failure_lines(task, run, rejected or {}, flag=flag)
    # The last result of each: a task that was tried again has several.
    last = {(check["task"], check["table"], check["suite"]): check for check in sorted(run["checks"], key=_at)}
    warned = [check for check in last.values() if not check["success"] and not _said_by_task(check, run)]
    for check in warned:
        yield ""
        yield from check_lines(check, flag=flag)
    if run["error"] and not any(task["state"] == "failed" for task in run["tasks"]):
        yield ""
        yield from _error_lines(run["error"])
    if run["state"] in ("failed", "cancelled"):
        yield ""
        yield from _next(run, flag)


def task_lines(tasks: Sequence[View]) -> Iterator[str]:
    """Yield a line for each task: name, kind, state, rows, how long it took, and why."""
    cells = [[t["name"], t["kind"], t["state"], figures(t), took(t), _why(t)] for t in tasks]
    head, *lines = aligned([["task", "kind", "state", "", "took", ""], *cells], state_at=2)
    yield click.style(head, bold=True)
    yield from lines


def check_lines(check: View, *, flag: str = "") -> Iterator[str]:
    """Yield what became of a suite: each expectation that was not met, with its figures and some rows, masked.

    Args:
        check: as the API shows it.
        flag: what commands need to mean the same place.
    """
    met = "met" if check["success"] else f"{check['failed']} of {check['evaluated']} not met"
    word = "" if check["success"] or check["blocks"] else " (only warns)"
    colour = "green" if check["success"] else "red" if check["blocks"] else "yellow"
    yield f"{click.style(harmless(check['suite']), fg=colour)} on {check['table']}@{check['snapshot']}: {met}{word}"
    failed = [verdict for verdict in check["verdicts"] if not verdict.get("success", True)]
    for verdict in failed[:_VERDICTS_SHOWN]:
        yield f"  {click.style('not met', fg=colour)}  {_verdict_words(verdict)}"
    if len(failed) > _VERDICTS_SHOWN:
        yield f"  and {len(failed) - _VERDICTS_SHOWN} more: penstock checks --run {check['run']} --json{flag}"
    if query := rows_query(check["table"], failed):
        table = f"{check['table']}={check['snapshot']}"
        yield f"  rows     penstock query {shlex.quote(query)} --at {table}{flag}"


def log_line(line: View) -> str:
    """Return what a task has said, on one line."""
    colour = {"error": "red", "warning": "yellow"}.get(line["level"])
    more = "".join(f" {harmless(str(name))}={_shortened(value)}" for name, value in line["figures"].items())
    return f"{_clock(line['at'])}  {line['task']:<14} {click.style(harmless(line['text']), fg=colour)}{more}"


def figures(task: View) -> str:
    """Return what a task has done so far, such as `12,400 rows, 2 rejected`."""
    report, words = task["report"], []
    if isinstance(report.get("rows"), int):
        words.append(count(report["rows"], "row"))
    elif isinstance(report.get("bytes"), int) and report["bytes"]:
        words.append(size(report["bytes"]))
    if report.get("rejected"):
        words.append(f"{report['rejected']:,} rejected")
    if task["items"] is not None:
        words.append(f"{task['items_done']:,} of {count(task['items'], 'item')}")
    return ", ".join(words)


def took(thing: View, *, now: dt.datetime | None = None) -> str:
    """Return how long something took, or has taken until now."""
    begun = thing.get("started_at")
    ended = _parsed(thing["finished_at"]) if thing.get("finished_at") else now
    return duration((ended - _parsed(begun)).total_seconds()) if begun and ended else ""


def run_took(run: View, *, now: dt.datetime | None = None) -> str:
    """Return how long a run was carried out, its pauses left out; where it stands when nobody says until when."""
    since = run["resumed_at"] or run["started_at"]
    if since is None or (now is None and not run["ended"]):
        return "" if run["ended"] else run["state"]
    going_on_s = 0.0 if run["ended"] or now is None else (now - _parsed(since)).total_seconds()
    return duration(run["worked_s"] + going_on_s)


def aligned(rows: Sequence[Sequence[str]], *, state_at: int | None = None) -> Iterator[str]:
    """Yield rows of texts as lines, their columns below each other; a column without any text is left out.

    Args:
        rows: all of one length.
        state_at: the column that holds a state, to be coloured.
    """
    cells = [[harmless(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if state_at is not None:
            padded[state_at] = click.style(padded[state_at], fg=COLOURS.get(row[state_at]))
        yield "  ".join(cell for cell, width in zip(padded, widths, strict=True) if width).rstrip()


def _day(view: View) -> str:
    zone = "" if view["timezone"] == "UTC" else f" in {view['timezone']}"
    return f", {view['date']}{zone}" if view["date"] else ""


def _head_lines(run: View) -> Iterator[str]:
    state = click.style(run["state"], fg=COLOURS.get(run["state"]), bold=True)
    yield f"run        {run['id']}  {state}"
    yield f"pipeline   {harmless(run['pipeline'])} of {harmless(run['project'])}{_day(run)}"
    if run["params"]:
        said = ", ".join(f"{name}={_shortened(value)}" for name, value in run["params"].items())
        yield f"params     {said}"
    how = {"manual": "", "schedule": "", "backfill": f" (back-fill {run['backfill']})"}[run["trigger"]]
    yield f"started    by {harmless(run['started_by'])}{how}, {moment(run['started_at'] or run['created_at'])}"
    revision = run["revision"]
    whose = f", deployed by {harmless(revision['deployed_by'])}" if revision["deployed_by"] else ""
    when = f", {moment(revision['deployed_at'])}" if revision["deployed_at"] else ""
    note = f": {harmless(revision['note'][:_TEXT_MAX])}" if revision["note"] else ""
    yield f"revision   {revision['revision'][:_SHORT]}{whose}{when}{note}"
    yield f"took       {run_took(run) or '-'}{_resumed(run)}"
    yield from _published_lines(run)


def _published_lines(run: View) -> Iterator[str]:
    by_themselves = [task["wrote"] for task in run["tasks"] if task["report"].get("published")]
    seen = {table: snapshot for wrote in [*by_themselves, run["published"]] for table, snapshot in wrote.items()}
    tables = [f"{table}@{snapshot}" for table, snapshot in sorted(seen.items())]
    if len(tables) > _TABLES_SHOWN:
        tables = [*tables[: _TABLES_SHOWN - 1], f"and {len(tables) - _TABLES_SHOWN + 1} more tables"]
    if not run["ended"]:
        tables = tables or ["nothing yet"]
    elif run["state"] != "succeeded" and not run["published"]:
        tables.append(f"readers see what they saw before{' of all others' if tables else ''}")
    for number, line in enumerate(tables or ["nothing: every table was up to date"]):
        yield f"{'' if number else 'published':<9}  {line}"


def _resumed(run: View) -> str:
    if not run["resumes"]:
        return ""
    overall = f", {took(run)} from start to end" if took(run) else ""
    return f", resumed {count(run['resumes'], 'time')}{overall}"


def _failure_lines(
    task: View, run: View, rejected: Mapping[str, Sequence[Sequence[Any]]], *, flag: str
) -> Iterator[str]:
    yield click.style(f"{harmless(task['name'])} failed", fg="red", bold=True) + _attempts(task)
    failed = [check for check in run["checks"] if check["task"] == task["name"] and not check["success"]]
    yield from _error_lines(task["error"] or {}, short=bool(failed))
    if (code := _code_of(task)) is not None:
        yield f"  code     {code}"
    yield from (f"  record   {line}" for line in _record_words(task))
    yield from (f"           {_rejected_words(row)}" for row in rejected.get(task["name"], ()))
    for check in failed:
        yield from (f"  {line}" for line in check_lines(check, flag=flag))


def _error_lines(error: View, *, short: bool = False) -> Iterator[str]:
    """Yield an error; only the first half of its sentence when the rest of it follows below."""
    message = harmless(str(error.get("message", "no reason is known")))[: _TEXT_MAX * 2]
    message = message.partition(": ")[0] if short else message
    yield f"  {message} [{harmless(str(error.get('code', 'bug')))}]"
    if error.get("hint"):
        yield f"  {click.style('hint:', fg='cyan')} {harmless(str(error['hint']))[:_TEXT_MAX]}"


def _attempts(task: View) -> str:
    return f" after {task['attempt']} attempts" if task["attempt"] > 1 else ""


def _code_of(task: View) -> str | None:
    """Return the file of the project, and the line where one is known, that a task's result is due to."""
    told = {**(task["error"] or {}), **((task["error"] or {}).get("figures") or {})}
    spec = task["spec"]
    file = told.get("file") or spec.get("file") or spec.get("suite") or spec.get("code")
    if file is None and isinstance(spec.get("script"), str):
        file = f"script {spec['script']}"
    if not isinstance(file, str):
        file = None
    causes = told.get("causes")
    worst = causes[0] if isinstance(causes, list) and causes and isinstance(causes[0], Mapping) else {}
    line = told.get("line") or worst.get("script_line")
    version = task["report"].get("version") or told.get("version")
    words = [harmless(file) if file else "", f"line {line}" if line else "", f"version {version}" if version else ""]
    return ", ".join(word for word in words if word) or None


def _record_words(task: View) -> Iterator[str]:
    """Yield where records failed, and of what, most first."""
    told = {**task["report"], **((task["error"] or {}).get("figures") or {})}
    causes = told.get("causes")
    if not isinstance(causes, list):
        return
    for cause in causes[:_CAUSES_SHOWN]:
        if not isinstance(cause, Mapping):
            continue
        line = f" at line {cause['script_line']} of the script" if cause.get("script_line") else ""
        kind = harmless(str(cause.get("type") or cause.get("code") or ""))
        first = _first_place(cause)
        yield f"{cause.get('records', 1):,} failed: {kind}{line}{first}"


def _rejected_words(row: Sequence[Any]) -> str:
    table, source, line, error = row
    return f"{harmless(str(source))}, line {line}: {_shortened(error)}   ({table})"


def _first_place(cause: View) -> str:
    first = cause.get("first") or cause.get("place") or cause.get("example")
    return f", the first: {_shortened(first)}" if first else ""


def _verdict_words(verdict: View) -> str:
    config, result = verdict.get("expectation_config") or {}, verdict.get("result") or {}
    asked = {name: value for name, value in (config.get("kwargs") or {}).items() if value not in (None, "", {})}
    column = asked.pop("column", None)
    rules = ", ".join(f"{harmless(str(name))} {_shortened(value)}" for name, value in asked.items())
    words = [f"{harmless(str(config.get('type', '')))} {harmless(str(column)) if column else ''}".strip()]
    if rules:
        words[0] += f" ({rules})"
    if (unexpected := result.get("unexpected_count")) is not None:
        words.append(f"{unexpected:,} of {count(result.get('element_count') or 0, 'row')}")
    elif "observed_value" in result:
        words.append(f"found {_shortened(result['observed_value'])}")
    if samples := result.get("partial_unexpected_list"):
        shown = ", ".join(_shortened(sample) for sample in samples[:_SAMPLES_SHOWN])
        words.append(f"such as {shown}")
    if why := (verdict.get("exception_info") or {}).get("exception_message"):
        words.append(f"could not be judged: {harmless(str(why))[:_TEXT_MAX]}")
    return "; ".join(words)


def _said_by_task(check: View, run: View) -> bool:
    return any(task["name"] == check["task"] and task["state"] == "failed" for task in run["tasks"])


def _next(run: View, flag: str) -> Iterator[str]:
    failed = next((task["name"] for task in run["tasks"] if task["state"] == "failed"), "")
    yield f"next       penstock logs {run['id']} {failed}".rstrip() + flag
    yield f"           penstock resume {run['id']}{flag}   (the same revision again: what failed, and what follows)"
    yield f"           penstock run {run['pipeline']}{flag}   (with what you have changed)"


def _why(task: View) -> str:
    if task["state"] == "failed" and task["error"]:
        return _shortened(task["error"].get("message", ""))
    return _shortened(task["reason"])


def _ways(task: View) -> str:
    reads, writes = ", ".join(task["reads"]), ", ".join(task["writes"])
    return " -> ".join(word for word in (reads, writes) if word) if reads else f"-> {writes}" if writes else ""


def _shortened(value: Any) -> str:
    text = harmless(str(value))
    return text if len(text) <= 80 else text[:77] + "..."


def _at(check: View) -> str:
    return str(check["at"])


def moment(text: str | None) -> str:
    """Return a time of the API to the second; `-` for none."""
    return f"{text[:10]} {text[11:19]}Z" if text else "-"


def _clock(text: str) -> str:
    return text[11:19]


def _parsed(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
