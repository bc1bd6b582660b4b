"""`penstock jobs`: submit, watch, fetch, cancel, try again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from penstock.base.text import count, harmless, size
from penstock.cli.connection import open_client
from penstock.cli.progress import JobProgress, transfer_progress
from penstock.cli.rows import print_json
from penstock.core.errors import InputNotFound, UsageError
from penstock.core.record_errors import SENTENCES

if TYPE_CHECKING:
    from penstock.client import Client
    from penstock.client.jobs import Job

_COLOURS: Final = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "queued": "blue"}
_CAUSES_SHOWN: Final = 5
_FAILED: Final = 2

json_option = click.option("--json", "as_json", is_flag=True, help="Print what the server said as JSON.")
job_argument = click.argument("job")
idempotency_option = click.option("--idempotency-key", metavar="KEY", help="The same key and request make one job.")


@click.group(name="jobs")
def command() -> None:
    """Send records and the name of a script to a server, and fetch what comes of them.

    \b
    Examples:
      penstock jobs submit clean_orders orders.ndjson.gz --wait -o clean.ndjson
      penstock jobs list --state failed
      penstock jobs dead-letters job_01J... -o letters.ndjson
    """


@command.command()
@click.argument("script")
@click.argument("input_", metavar="INPUT", type=click.Path(path_type=Path))
@click.option("--version", default="active", show_default=True, help="An exact version, or a range such as ^1.2.")
@click.option("--label", "labels", multiple=True, metavar="NAME:VALUE", help="To find the job by; may be repeated.")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, show_default=True, help="Higher goes first.")
@click.option("--not-before", metavar="TIME", help="It does not start earlier: 2026-01-31T08:00:00Z.")
@click.option("--deadline", metavar="TIME", help="What has not started by then fails.")
@click.option("--attempts", type=click.IntRange(1, 20), default=3, show_default=True, help="Tries, of each chunk too.")
@click.option("--max-errors", default="10%", show_default=True, metavar="N|P%", help="Records that may fail.")
@click.option(
    "--input-format", type=click.Choice(["ndjson", "json", "csv", "parquet"]), help="When the name does not tell."
)
@click.option("--webhook", metavar="URL", help="Who is told when it has ended.")
@click.option("--webhook-secret", metavar="NAME", help="The workspace's secret that signs the message.")
@idempotency_option
@click.option("--wait", is_flag=True, help="Wait for its end; exit code 2 when it failed.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Wait, and write the result there.")
@json_option
def submit(*, script: str, input_: Path, output: Path | None, wait: bool, as_json: bool, **options: Any) -> None:
    """Submit the records of INPUT to SCRIPT, a name or an id.

    INPUT is streamed: NDJSON, JSON, CSV or Parquet, also compressed as .gz, .zst or .br. The job's id is printed as
    soon as the server has it for good.

    \b
    Examples:
      penstock jobs submit clean_orders orders.ndjson
      penstock jobs submit clean_orders orders.csv.gz --label day:2026-01-31 --wait
      penstock jobs submit clean_orders@^1.2 orders.parquet -o clean.parquet
    """
    if not input_.is_file():
        raise InputNotFound(f"{input_} is not a file", hint="Check the path.")
    asked = _asked(options, output)
    with open_client() as client:
        with transfer_progress("sent") as progress:
            job = client.jobs.submit(script, input_, progress=progress, **asked)
        if not (wait or output):
            _print(job, as_json=as_json)
            return
        click.echo(job.id, err=True)
        job = _watch(client, job.id)
        if output and job.state == "succeeded":
            with transfer_progress("fetched") as progress:
                client.jobs.result(job.id, output, progress=progress)
        _finish(job, as_json=as_json)


@command.command()
@job_argument
@json_option
def watch(*, job: str, as_json: bool) -> None:
    """Follow JOB until it ends; exit code 2 when it failed.

    \b
    Examples:
      penstock jobs watch job_01J...
    """
    with open_client() as client:
        _finish(_watch(client, job), as_json=as_json)


@command.command()
@job_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write.  [standard output]")
@click.option("--json", "as_json", is_flag=True, help="Print what was written, and where, as JSON; needs -o.")
def result(*, job: str, output: Path | None, as_json: bool) -> None:
    """Write what JOB gave.

    \b
    Examples:
      penstock jobs result job_01J... -o clean.ndjson
      penstock jobs result job_01J... | jq .total
    """
    with open_client() as client:
        _fetch(client.jobs.result, job, output, as_json=as_json)


@command.command(name="dead-letters")
@job_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write.  [standard output]")
@click.option("--json", "as_json", is_flag=True, help="Print what was written, and where, as JSON; needs -o.")
def dead_letters(*, job: str, output: Path | None, as_json: bool) -> None:
    """Write the records of JOB that could not be processed, each with its error.

    \b
    Examples:
      penstock jobs dead-letters job_01J... | jq -r .error.code | sort | uniq -c
    """
    with open_client() as client:
        _fetch(client.jobs.dead_letters, job, output, as_json=as_json)


@command.command()
@job_argument
@json_option
def cancel(*, job: str, as_json: bool) -> None:
    """End JOB: at once while it waits, soon while it runs.

    \b
    Examples:
      penstock jobs cancel job_01J...
    """
    with open_client() as client:
        _print(client.jobs.cancel(job), as_json=as_json)


@command.command()
@job_argument
@idempotency_option
@json_option
def retry(*, job: str, idempotency_key: str | None, as_json: bool) -> None:
    """Run JOB, which failed or was cancelled, again on the same input, as a new job.

    \b
    Examples:
      penstock jobs retry job_01J...
    """
    with open_client() as client:
        _print(client.jobs.retry(job, idempotency_key=idempotency_key), as_json=as_json)


@command.command()
@job_argument
@click.option("--version", default="active", show_default=True, help="The script version to use.")
@idempotency_option
@json_option
def replay(*, job: str, version: str, idempotency_key: str | None, as_json: bool) -> None:
    """Run the dead letters of JOB again, as a new job.

    \b
    Examples:
      penstock jobs replay job_01J...
    """
    with open_client() as client:
        _print(client.jobs.replay(job, version=version, idempotency_key=idempotency_key), as_json=as_json)


@command.command()
@job_argument
@json_option
def show(*, job: str, as_json: bool) -> None:
    """Show JOB: its state, why it waits, its account, its tries.

    \b
    Examples:
      penstock jobs show job_01J...
      penstock jobs show job_01J... --json | jq .waiting
    """
    with open_client() as client:
        found = client.jobs.read(job)
        attempts = list(client.jobs.attempts(job))
    if as_json:
        print_json({**found.shown, "attempts": attempts})
        return
    _describe(found)
    for attempt in attempts:
        error = f"  {attempt['error']['code']}" if attempt["error"] else ""
        part = attempt["part"] if attempt["part"] != "chunk" else f"chunk {attempt['number']}"
        click.echo(f"attempt    {attempt['attempt']} of {part}: {attempt['outcome']}{error}")


@command.command(name="list")
@click.option("--state", type=click.Choice(list(_COLOURS)), help="Only those.")
@click.option("--script", help="Name or id.")
@click.option("--label", "labels", multiple=True, metavar="NAME:VALUE", help="All of them must fit.")
@click.option("--after", metavar="TIME", help="Created at or after: 2026-01-31T08:00:00Z.")
@click.option("--before", metavar="TIME", help="Created before.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many.")
@json_option
def list_(
    *,
    state: str | None,
    script: str | None,
    labels: tuple[str, ...],
    after: str | None,
    before: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first.

    \b
    Examples:
      penstock jobs list --state failed --script clean_orders
      penstock jobs list --label day:2026-01-31 --json
    """
    with open_client() as client:
        found = client.jobs.list(
            state=state,
            script=script,
            labels=_labels(labels),
            created_after=after,
            created_before=before,
            limit=limit,
        )
        if as_json:
            print_json([job.shown for job in found])
            return
        for job in found:
            state_ = click.style(f"{job.state:<9}", fg=_COLOURS[job.state])
            records = count(job.counts["records"] or 0, "record")
            click.echo(
                f"{job.id}  {state_}  {job.shown['created_at'][:19]}Z  {harmless(job.script)}@{job.version}  {records}"
            )


def _asked(options: dict[str, Any], output: Path | None) -> dict[str, Any]:
    """Return the arguments of the client's submit for the options of the command."""
    if bool(options["webhook"]) != bool(options["webhook_secret"]):
        raise UsageError(
            "--webhook and --webhook-secret go together", hint="Keep a secret with: penstock secrets put NAME"
        )
    asked = {
        "version": options["version"],
        "labels": _labels(options["labels"]),
        "priority": options["priority"],
        "not_before": options["not_before"],
        "deadline": options["deadline"],
        "attempts_max": options["attempts"],
        "errors_max": options["max_errors"],
        "format": options["input_format"],
        "idempotency_key": options["idempotency_key"],
    }
    if options["webhook"]:
        asked["webhook"] = {"url": options["webhook"], "secret": options["webhook_secret"]}
    if output:
        asked["output_format"] = {".csv": "csv", ".parquet": "parquet"}.get(output.suffix.lower(), "ndjson")
    return asked


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise UsageError(f"--label {text!r} is not NAME:VALUE", hint="Give it as --label day:2026-01-31")
        labels[name] = value
    return labels


def _watch(client: Client, job_id: str) -> Job:
    progress = JobProgress()
    try:
        for job in client.jobs.watch(job_id):
            waiting = job.waiting["sentence"] if job.waiting else None
            progress.tell(state=job.state, counts=job.counts, waiting=waiting)
    finally:
        progress.end()
    return job


def _fetch(fetch: Callable[..., int], job_id: str, output: Path | None, *, as_json: bool) -> None:
    if output is None and as_json:
        raise UsageError("standard output cannot have both the records and JSON about them", hint="Add -o FILE.")
    if output is None:
        fetch(job_id, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with transfer_progress("fetched") as progress:
        size_bytes = fetch(job_id, output, progress=progress)
    if as_json:
        print_json({"job": job_id, "output": str(output), "size_bytes": size_bytes})
    else:
        click.echo(f"{output}: {size(size_bytes)}", err=True)


def _finish(job: Job, *, as_json: bool) -> None:
    _print(job, as_json=as_json)
    if job.state != "succeeded":
        sys.exit(_FAILED)


def _print(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(job.shown)
    elif sys.stdout.isatty() or job.ended:
        _describe(job)
    else:
        click.echo(job.id)


def _cause_words(cause: Mapping[str, Any]) -> str:
    if cause.get("type") and cause.get("script_line"):
        return harmless(f"{cause['type']} at line {cause['script_line']} of the script")
    return SENTENCES.get(cause["code"], "")


def _describe(job: Job) -> None:
    click.echo(f"job        {job.id}  {click.style(job.state, fg=_COLOURS[job.state], bold=True)}")
    click.echo(f"script     {harmless(job.script)}@{job.version}")
    if job.labels:
        click.echo("labels     " + harmless(", ".join(f"{name}:{value}" for name, value in job.labels.items())))
    if job.waiting:
        click.echo(f"waits      {harmless(job.waiting['sentence'])}")
    numbers = {name: number for name, number in job.counts.items() if isinstance(number, int)}
    click.echo(
        f"records    {numbers['records']:,}: {numbers['produced']:,} produced, {numbers['dropped']:,} dropped, "
        f"{numbers['failed']:,} failed"
    )
    for cause in job.shown["causes"][:_CAUSES_SHOWN]:
        click.echo(f"           {cause['records']:,} failed: {_cause_words(cause)} [{harmless(cause['code'])}]")
    if job.error:
        click.echo(f"error      {harmless(str(job.error.get('message')))} [{job.error.get('code')}]")
    if job.result_bytes is not None:
        click.echo(f"result     {size(job.result_bytes)}: penstock jobs result {job.id} -o FILE")
    if job.dead_letters_bytes is not None:
        letters = size(job.dead_letters_bytes)
        click.echo(f"dead       {letters}: penstock jobs dead-letters {job.id} -o FILE")
