"""`penstock scripts`: push versions, try, publish, activate, roll back, end them; approvals."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from penstock.base.text import harmless
from penstock.cli import script_texts as texts
from penstock.cli.connection import open_client
from penstock.cli.options import script_options
from penstock.cli.rows import print_json
from penstock.core.errors import InputNotFound, NotFound, UsageError
from penstock.core.scripts import ScriptVersion
from penstock.core.versions import name_from_file

if TYPE_CHECKING:
    from penstock.client import Client
    from penstock.client.scripts import Version

_MIB: Final = 2**20
_FORMATS: Final = {".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json", ".csv": "csv"}

json_option = click.option("--json", "as_json", is_flag=True, help="Print what the server said as JSON.")
script_name = click.argument("script", metavar="SCRIPT[@VERSION]")
version_argument = click.argument("version", required=False)
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; it is kept.")


def _read_bound(_context: click.Context, _parameter: click.Parameter, value: str) -> int | None:
    if value == "none":
        return None
    if not value.isdecimal() or not int(value):
        raise click.BadParameter(f"{harmless(value)!r} is no number from 1 on, and not the word none.")
    return int(value)


@click.group(name="scripts")
def command() -> None:
    """Keep scripts on a server, in versions that never change once they are published.

    \b
    Examples:
      penstock scripts push clean_orders.py --examples clean_orders.examples.json
      penstock scripts try clean_orders orders.ndjson
      penstock scripts publish clean_orders --activate
      penstock scripts rollback clean_orders
    """


@command.command(short_help="Bring a file to the server, as a draft.")
@click.argument("script", metavar="FILE", type=click.Path())
@click.option("--name", help="Of the script on the server.  [the file's name]")
@click.option(
    "--version", "number", metavar="1.2.0", help="Its semantic version.  [the newest draft, or the next patch]"
)
@click.option("--description", default="", metavar="TEXT", help="What the script is for, when it is new.")
@click.option("--schema", type=click.Path(path_type=Path), metavar="FILE", help="JSON Schema of its input records.")
@click.option("--output-schema", type=click.Path(path_type=Path), metavar="FILE", help="JSON Schema of its output.")
@click.option("--examples", type=click.Path(path_type=Path), metavar="FILE", help="JSON: what publishing checks.")
@json_option
@script_options
def push(
    *,
    script: ScriptVersion,
    name: str | None,
    number: str | None,
    description: str,
    schema: Path | None,
    output_schema: Path | None,
    examples: Path | None,
    as_json: bool,
) -> None:
    """Bring FILE to the server as a draft of a script, which is made when there is none of that name.

    While the newest version is a draft, it is changed; else a new version is added. The examples are a JSON list of
    {"name": ..., "input": [records], "output": [records]}, or with "error": "code" in place of the output.

    \b
    Examples:
      penstock scripts push clean_orders.py
      penstock scripts push clean.py --name clean_orders --version 2.0.0 --schema order.schema.json
      penstock scripts push features.py --profile arrow --wall 300 --examples features.examples.json
    """
    content = {
        "code": _text(script),
        "profile": script.profile,
        "tier": script.tier,
        "limits": _limits(script),
        "input_schema": _read_json(schema),
        "output_schema": _read_json(output_schema),
        "examples": _read_json(examples) or [],
    }
    with open_client() as client:
        pushed = client.scripts.push(
            name or name_from_file(script.name),
            content,
            number=number,
            language=script.language,
            description=description,
        )
    if as_json:
        print_json(pushed.version.shown)
    else:
        texts.show_pushed(pushed)


@command.command(name="list", short_help="List scripts.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="How many at most.")
@json_option
def list_(*, limit: int, as_json: bool) -> None:
    """List scripts, with the version that `active` stands for.

    \b
    Examples:
      penstock scripts list
      penstock scripts list --json | jq -r '.[].name'
    """
    with open_client() as client:
        found = list(client.scripts.list(limit=limit))
    if as_json:
        print_json([script.shown for script in found])
    else:
        texts.show_scripts(found)


@command.command(short_help="Show a script or a version.")
@script_name
@version_argument
@click.option("--code", is_flag=True, help="Print the code of the version, and nothing else.")
@json_option
def show(*, script: str, version: str | None, code: bool, as_json: bool) -> None:
    """Show SCRIPT with its versions, or one version.

    \b
    Examples:
      penstock scripts show clean_orders
      penstock scripts show clean_orders@1.2.0
      penstock scripts show clean_orders@active --code > clean_orders.py
    """
    name, number = _split(script, version)
    with open_client() as client:
        if code:
            sys.stdout.buffer.write(client.scripts.code(name, number or "active"))
        elif number is None:
            found, versions = client.scripts.read(name), list(client.scripts.versions(name, limit=200))
            shown = {**found.shown, "versions": [one.shown for one in versions]}
            print_json(shown) if as_json else texts.show_script(found, versions)
        else:
            one = client.scripts.read_version(name, number)
            print_json(one.shown) if as_json else texts.show_version(one)


@command.command(name="try", short_help="Run a version on a few records.")
@script_name
@click.argument("sample", metavar="FILE")
@click.option(
    "--format", "data_format", type=click.Choice(["ndjson", "json", "csv"]), help="When the name does not tell."
)
@json_option
def try_(*, script: str, sample: str, data_format: str | None, as_json: bool) -> None:
    """Run the newest version of SCRIPT, or the one named, on the records of FILE at once; - is standard input.

    At most 1,000 records and 1 MiB. Output records go to standard output, the account to standard error. Exit code 2
    when a record failed.

    \b
    Examples:
      penstock scripts try clean_orders sample.ndjson
      head -100 orders.csv | penstock scripts try clean_orders@1.2.0 - --format csv
    """
    name, number = _split(script, None)
    data = _read_bytes(sample)
    kind = data_format or _FORMATS.get(Path(sample).suffix.lower(), "ndjson")
    with open_client() as client:
        version = number or _newest(client, name).number
        trial = client.scripts.try_(name, version, data, data_format=kind)
    if as_json:
        print_json({**trial.shown, "version": version})
    else:
        texts.show_trial(trial, version)
    sys.exit(2 if trial.counts["failed"] else 0)


@command.command(short_help="Check a draft and fix it for ever.")
@script_name
@version_argument
@click.option("--activate", is_flag=True, help="Let `active` stand for it, too.")
@json_option
def publish(*, script: str, version: str | None, activate: bool, as_json: bool) -> None:
    """Fix the newest draft of SCRIPT, or the one named, for ever.

    It is compiled and its examples are run first; when one gives something else, nothing is published and every
    difference is shown.

    \b
    Examples:
      penstock scripts publish clean_orders
      penstock scripts publish clean_orders@1.2.0 --activate
    """
    name, number = _split(script, version)
    with open_client() as client:
        done = client.scripts.publish(name, number or _newest(client, name, state="draft").number)
        active = client.scripts.activate(name, done.number) if activate else None
    if as_json:
        print_json(done.shown)
    else:
        texts.show_published(done, active)


@command.command(short_help="Let `active` stand for a version.")
@script_name
@version_argument
@json_option
def activate(*, script: str, version: str | None, as_json: bool) -> None:
    """Let `active` stand for a version: jobs that name no other one run on it from now on.

    Without a version, the newest published one.

    \b
    Examples:
      penstock scripts activate clean_orders
      penstock scripts activate clean_orders@1.2.0
    """
    name, number = _split(script, version)
    with open_client() as client:
        found = client.scripts.activate(name, number or _newest(client, name, state="published").number)
    print_json(found.shown) if as_json else texts.show_active(found)


@command.command(short_help="Go back to the version before.")
@click.argument("script")
@json_option
def rollback(*, script: str, as_json: bool) -> None:
    """Activate the version of SCRIPT that was active before; again, and it goes further back.

    \b
    Examples:
      penstock scripts rollback clean_orders
    """
    with open_client() as client:
        found = client.scripts.rollback(script)
    print_json(found.shown) if as_json else texts.show_active(found)


@command.command(short_help="Compare two versions.")
@click.argument("script")
@click.argument("before")
@click.argument("after")
@json_option
def diff(*, script: str, before: str, after: str, as_json: bool) -> None:
    """Show how version AFTER of SCRIPT differs from version BEFORE: code and settings.

    \b
    Examples:
      penstock scripts diff clean_orders active 1.3.0
    """
    with open_client() as client:
        found = client.scripts.diff(script, before, after)
    print_json(found) if as_json else texts.show_diff(found)


@command.command(short_help="Keep ranges from choosing it.")
@script_name
@version_argument
@reason_option
@json_option
def deprecate(*, script: str, version: str | None, reason: str, as_json: bool) -> None:
    """Keep ranges such as ^1.2 from choosing a version while another fits; named exactly it still runs.

    \b
    Examples:
      penstock scripts deprecate clean_orders@1.2.0 --reason 'rounds half up'
    """
    name, number = _named(script, version)
    with open_client() as client:
        done = client.scripts.deprecate(name, number, reason=reason)
    print_json(done.shown) if as_json else texts.show_ended(done)


@command.command(short_help="End a version for good.")
@script_name
@version_argument
@reason_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def revoke(*, script: str, version: str | None, reason: str, yes: bool, as_json: bool) -> None:
    """End a version for good: jobs that wait for it fail, running ones go on to their end.

    \b
    Examples:
      penstock scripts revoke clean_orders@1.2.0 --reason 'drops refunds'
    """
    name, number = _named(script, version)
    if not yes and sys.stdin.isatty():
        click.confirm(f"Revoke {name}@{number} for good?", abort=True, err=True)
    with open_client() as client:
        done = client.scripts.revoke(name, number, reason=reason)
    print_json(done.shown) if as_json else texts.show_ended(done)


@command.command(short_help="Say how many may run at once.")
@click.argument("script")
@click.argument("running_max", metavar="NUMBER|none", callback=_read_bound)
@json_option
def bound(*, script: str, running_max: int | None, as_json: bool) -> None:
    """Let at most NUMBER attempts of SCRIPT's jobs run at once; `none` lets as many run as the workspace may.

    The chunks of a large input are attempts, too. What waits for the bound says so, and other scripts go on.

    \b
    Examples:
      penstock scripts bound clean_orders 4
      penstock scripts bound clean_orders none
    """
    with open_client() as client:
        found = client.scripts.bound(script, running_max=running_max)
    print_json(found.shown) if as_json else texts.show_bound(found)


@command.command(short_help="Let a paused script run again.")
@click.argument("script")
@json_option
def resume(*, script: str, as_json: bool) -> None:
    """Let jobs of SCRIPT run again that was paused because its runs were killed one after the other.

    \b
    Examples:
      penstock scripts resume clean_orders
    """
    with open_client() as client:
        resumed = client.scripts.resume(script)
    if as_json:
        print_json({"resumed": resumed})
    else:
        click.echo(f"{harmless(script)} runs again" if resumed else f"{harmless(script)} was not paused")


@command.command(short_help="Ask for an approval.")
@script_name
@version_argument
@click.option("--reason", required=True, metavar="TEXT", help="Why it needs more than the default.")
@json_option
def ask(*, script: str, version: str | None, reason: str, as_json: bool) -> None:
    """Ask for the approval of the newest draft of SCRIPT, or the one named, as it is now.

    \b
    Examples:
      penstock scripts ask clean_orders --reason 'the year-end file takes three minutes'
    """
    name, number = _split(script, version)
    with open_client() as client:
        made = client.scripts.ask(name, number or _newest(client, name, state="draft").number, reason=reason)
    print_json(made.shown) if as_json else texts.show_asked(made)


@command.command(short_help="List approvals.")
@click.option(
    "--state",
    type=click.Choice(["waiting", "approved", "refused", "overridden", "lapsed"]),
    help="Only these.  [all]",
)
@json_option
def approvals(*, state: str | None, as_json: bool) -> None:
    """List approvals, the newest first.

    \b
    Examples:
      penstock scripts approvals --state waiting
    """
    with open_client() as client:
        found = list(client.scripts.approvals(state=state, limit=200))
    if as_json:
        print_json([approval.shown for approval in found])
    else:
        texts.show_approvals(found)


def _decision(
    name: Literal["approve", "refuse", "override"], short: str, text: str, example: str
) -> Callable[..., None]:
    @command.command(name=name, short_help=short, help=f"{text}\n\n\b\nExamples:\n  penstock scripts {example}")
    @click.argument("approval")
    @reason_option
    @json_option
    def decide(*, approval: str, reason: str, as_json: bool) -> None:
        with open_client() as client:
            decided = client.scripts.decide(approval, name, reason=reason)
        print_json(decided.shown) if as_json else texts.show_decided(decided)

    return decide


_decision(
    "approve",
    "Agree, as a second person.",
    "Agree that a version may go beyond the default, as a second person.",
    "approve apr_01J...",
)
_decision(
    "refuse", "Disagree, as a second person.", "Disagree, as a second person.", "refuse apr_01J... --reason 'stream it'"
)
_decision(
    "override",
    "Go without a second person.",
    "Go without a second person: for an admin who is the only member. The record says so for ever.",
    "override apr_01J... --reason 'nobody else is here'",
)


def _split(script: str, version: str | None) -> tuple[str, str | None]:
    """Return a script and the version that was named behind it or after an @, if any."""
    name, _, behind = script.partition("@")
    if behind and version and behind != version:
        raise UsageError(f"{script} names version {behind}, and {version} follows", hint="Name one version.")
    return name, version or behind or None


def _named(script: str, version: str | None) -> tuple[str, str]:
    name, number = _split(script, version)
    if number is None:
        raise UsageError(f"no version of {name} is named", hint=f"Write it behind the name: {name}@1.2.0")
    return name, number


def _newest(client: Client, name: str, *, state: str | None = None) -> Version:
    found = client.scripts.newest(name, state=state)
    if found is None:
        if state == "published":
            raise NotFound(f"{name} has no published version", hint=f"Run: penstock scripts publish {name} --activate")
        what = f"{name} has no {state or 'version'}"
        raise NotFound(what, hint="Push one: penstock scripts push FILE")
    return found


def _text(script: ScriptVersion) -> str:
    if not script.source.strip():
        raise UsageError(f"{script.name} is empty", hint="A script defines process(data), or another of its kind.")
    try:
        return script.source.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{script.name}: byte {error.start:,} is not UTF-8", hint="Save the script as UTF-8."
        ) from error


def _limits(script: ScriptVersion) -> dict[str, Any]:
    bounds = asdict(script.limits)
    for name in ("memory", "output"):
        bounds[f"{name}_mib"] = bounds.pop(f"{name}_bytes") // _MIB
    return bounds


def _read_bytes(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputNotFound(f"{path}: cannot be read: {error.strerror}", hint="Check the path.") from error


def _read_json(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(_read_bytes(str(path)))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}", hint="Correct the file.") from error
