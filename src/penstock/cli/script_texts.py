"""What `penstock scripts` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from penstock.base.text import count, harmless, size
from penstock.core.record_errors import SENTENCES

if TYPE_CHECKING:
    from penstock.client.scripts import Approval, Pushed, Script, Trial, Version

_COLOURS: Final = {
    "draft": "yellow",
    "published": "green",
    "deprecated": "magenta",
    "revoked": "red",
    "waiting": "yellow",
    "approved": "green",
    "overridden": "magenta",
    "refused": "red",
    "lapsed": "white",
}
_HASH: Final = 12
_CAUSES_SHOWN: Final = 5
_PRINTED_SHOWN: Final = 50


def show_pushed(pushed: Pushed) -> None:
    """Say what a push did, and what comes next."""
    version = pushed.version
    done = "is a new draft" if pushed.created else "is a draft, and was changed"
    click.echo(f"{_name(version)} {done} ({_size(version)}, hash {version.hash[:_HASH]})")
    if same := pushed.same_as:
        click.echo(f"  does the same as {same.number}, which is published: code, limits and schemas are equal")
    for ask in version.asks:
        click.echo(f"  needs an approval: {ask}")
    name = f"{version.script}@{version.number}"
    click.echo(f"try it:      penstock scripts try {name} FILE", err=True)
    if version.asks:
        click.echo(f"ask for it:  penstock scripts ask {name} --reason TEXT", err=True)
    click.echo(f"publish it:  penstock scripts publish {name}", err=True)


def show_scripts(found: Sequence[Script]) -> None:
    """Print scripts as a table."""
    if not found:
        click.echo("no scripts yet; push one: penstock scripts push FILE", err=True)
        return
    rows = [(one.name, one.active or "-", one.language, one.shown["created_at"][:10], one.description) for one in found]
    _table(("name", "active", "language", "since", "description"), rows)


def show_script(script: Script, versions: Sequence[Version]) -> None:
    """Print a script and its versions."""
    click.echo(f"{click.style(script.name, bold=True)}  {script.language}  {script.id}")
    if script.description:
        click.echo(harmless(script.description))
    click.echo(f"active: {script.active or 'none'}")
    if bound := script.shown.get("running_max"):
        click.echo(f"at once: {bound:,} of its attempts")
    if paused := script.shown.get("paused"):
        since = f"since {_when(paused['since'])}: {harmless(paused['reason'])}"
        click.echo(f"{click.style('paused', fg='red')} {since}; mend it, then: penstock scripts resume {script.name}")
    click.echo()
    if not versions:
        click.echo("no versions yet; push one: penstock scripts push FILE", err=True)
        return
    rows = [
        (
            f"{one.number} *" if one.number == script.active else one.number,
            one.state,
            one.shown["profile"],
            one.shown["tier"],
            _size(one),
            (one.shown["published_at"] or "-")[:10],
            one.hash[:_HASH],
            one.shown["state_reason"] or "",
        )
        for one in versions
    ]
    _table(("version", "state", "profile", "tier", "code", "published", "hash", "reason"), rows)


def show_bound(script: Script) -> None:
    """Say how many of a script may run at once."""
    bound = script.shown["running_max"]
    many = "as many as its workspace may" if bound is None else f"at most {count(bound, 'attempt')}"
    click.echo(f"{script.name} runs {many} at once")


def show_version(version: Version) -> None:
    """Print one version."""
    shown = version.shown
    reason = f": {harmless(shown['state_reason'])}" if shown["state_reason"] else ""
    click.echo(f"{_name(version)}  {click.style(version.state, fg=_COLOURS.get(version.state))}{reason}")
    limits = ", ".join(f"{name} {value:g}" for name, value in shown["limits"].items())
    lines = [
        ("id", version.id),
        ("hash", version.hash),
        ("code", f"{_size(version)}, {shown['language']}, profile {shown['profile']}, tier {shown['tier']}"),
        ("limits", limits),
        ("schemas", ", ".join(name for name in ("input_schema", "output_schema") if shown[name]) or "none"),
        ("examples", count(len(shown["examples"]), "example") if shown["examples"] else "none"),
        ("written", f"{_when(shown['updated_at'])} by {shown['updated_by_name']}"),
    ]
    if shown["published_at"]:
        lines.append(("published", f"{_when(shown['published_at'])} by {shown['published_by_name']}"))
    for name, value in lines:
        click.echo(f"{name:<11} {value}")
    for ask in version.asks:
        click.echo(f"{'asks for':<11} {ask}")


def show_trial(trial: Trial, version: str) -> None:
    """Print the output records on standard output, and the account on standard error."""
    for line in trial.printed.splitlines()[:_PRINTED_SHOWN]:
        click.echo(f"script: {harmless(line)}", err=True)
    click.echo(trial.shown["output"], nl=False)
    counts = trial.counts
    shares = f"{counts['produced']:,} gave output + {counts['dropped']:,} dropped + {counts['failed']:,} failed"
    account = f"{count(counts['records'], 'record')} in = {shares}"
    click.echo(f"{click.style(account, bold=True)} (version {version}, {trial.elapsed_s * 1000:,.0f} ms)", err=True)
    for cause in trial.shown["causes"][:_CAUSES_SHOWN]:
        what = SENTENCES.get(cause["code"], cause["code"])
        if cause["type"] and cause["script_line"]:
            what = f"{cause['type']} at line {cause['script_line']} of the script"
        click.echo(f"  {cause['records']:,} failed: {harmless(what)} [{harmless(cause['code'])}]", err=True)
    for letter in trial.dead_letters[:_CAUSES_SHOWN]:
        click.echo(f"  record {letter['record']}: {harmless(str(letter['error']['message']))}", err=True)


def show_published(version: Version, active: Script | None) -> None:
    """Say that a version is fixed."""
    click.echo(f"{_name(version)} is published for ever (hash {version.hash[:_HASH]})")
    if active is not None:
        show_active(active)
    else:
        click.echo(f"use it:  penstock scripts activate {version.script}@{version.number}", err=True)


def show_active(script: Script) -> None:
    """Say what `active` stands for."""
    click.echo(f"{script.name}: active is {click.style(str(script.active), bold=True)}")


def show_ended(version: Version) -> None:
    """Say that a version was deprecated or revoked."""
    what = {
        "deprecated": "ranges pass it over while another fits; named exactly it still runs",
        "revoked": "jobs that wait for it fail, and running ones go on to their end",
    }[version.state]
    click.echo(f"{_name(version)} is {click.style(version.state, fg=_COLOURS[version.state])}: {what}")


def show_diff(found: Mapping[str, Any]) -> None:
    """Print how two versions differ."""
    for change in found["changes"]:
        click.echo(f"{change['name']}: {_brief(change['before'])} -> {_brief(change['after'])}")
    for line in found["code"].splitlines():
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        click.echo(click.style(harmless(line), fg=colour) if colour else harmless(line))
    if not found["code"] and not found["changes"]:
        click.echo(f"{found['before']} and {found['after']} do the same: code and settings are equal")


def show_asked(approval: Approval) -> None:
    """Say who can decide."""
    click.echo(f"{approval.id} is {approval.state}")
    for ask in approval.asks:
        click.echo(f"  {ask}")
    click.echo(f"another member decides:  penstock scripts approve {approval.id}", err=True)


def show_decided(approval: Approval) -> None:
    """Say what was decided."""
    click.echo(f"{approval.id} is {click.style(approval.state, fg=_COLOURS[approval.state])}")


def show_approvals(found: Sequence[Approval]) -> None:
    """Print approvals as a table."""
    if not found:
        click.echo("no approvals", err=True)
        return
    rows = [
        (
            one.id,
            one.state,
            _when(one.shown["requested_at"]),
            one.shown["requested_by_name"],
            one.shown["decided_by_name"] or "-",
            "; ".join(one.asks),
            one.shown["reason"],
        )
        for one in found
    ]
    _table(("approval", "state", "asked", "by", "decided by", "asks", "reason"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    cells = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(head), *cells]) for column in range(len(head))]
    for number, row in enumerate([list(head), *cells]):
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        styled = [click.style(cell, fg=_COLOURS.get(cell.strip()), bold=number == 0) for cell in [*padded, row[-1]]]
        click.echo("  ".join(styled))


def _name(version: Version) -> str:
    return click.style(f"{version.script} {version.number}", bold=True)


def _size(version: Version) -> str:
    return size(version.shown["code"]["size_bytes"])


def _when(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _brief(value: Any) -> str:
    text = str(value)
    return harmless(text if len(text) <= 60 else f"{text[:60]} …")
