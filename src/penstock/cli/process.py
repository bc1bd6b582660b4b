"""`penstock process`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import click

from penstock.base.text import count, duration, harmless, size
from penstock.cli.errors import as_json as error_as_json
from penstock.cli.options import ErrorBudgetType, script_argument, script_options
from penstock.cli.progress import choose_progress
from penstock.core import limits
from penstock.core.errors import PenstockError, TooManyErrors, UsageError
from penstock.core.processing import ErrorBudget, ScriptReport, ScriptSpec
from penstock.core.record_errors import SENTENCES
from penstock.core.scripts import ScriptVersion
from penstock.wiring.laptop import laptop

_OUTPUT_FORMATS: Final = {".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv", ".parquet": "parquet"}
_CAUSES_SHOWN: Final = 5
_LEFT_OUT_SHOWN: Final = 10


@click.command(name="process")
@script_argument
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "-o", "--output", help="Where to write; the ending says how: .ndjson, .csv, .parquet.  [standard output, NDJSON]"
)
@click.option(
    "--input-format",
    type=click.Choice(["ndjson", "json", "csv", "parquet"]),
    help="Of inputs whose name does not tell.",
)
@click.option(
    "--dead-letters", metavar="FILE", help="Where failed records go.  [beside the output, when there are any]"
)
@click.option(
    "--max-errors",
    type=ErrorBudgetType(),
    default="10%",
    show_default=True,
    help="Failed records allowed; more, and there is no output.",
)
@click.option(
    "--chunk",
    type=click.IntRange(1, 1_000_000),
    default=limits.CHUNK_RECORDS.value,
    show_default=True,
    metavar="RECORDS",
    help="Records given to one process.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
@script_options
def command(
    *,
    script: ScriptVersion,
    inputs: tuple[str, ...],
    output: str | None,
    input_format: str | None,
    dead_letters: str | None,
    max_errors: ErrorBudget,
    chunk: int,
    as_json: bool,
) -> None:
    """Run SCRIPT over the records of INPUTS, each chunk in a locked process of its own.

    INPUTS are files, patterns in quotes, or - for standard input: NDJSON, JSON arrays, CSV, Parquet, also as .gz or
    .zst, and .tar.gz archives of such files. The script defines one of process(data), process_batch(records),
    process_table(table).

    \b
    Examples:
      penstock process clean.py orders.ndjson -o clean.ndjson
      penstock process clean.py 'days/*.csv.gz' -o clean.parquet --max-errors 100
      zcat events.gz | penstock process clean.js - | head
    """
    if dead_letters and output and Path(dead_letters).resolve() == Path(output).resolve():
        raise UsageError(f"--dead-letters and -o both name {output}", hint="Give each a file of its own.")
    with laptop() as penstock:
        started_s = time.monotonic()
        spec = ScriptSpec(
            script=script,
            inputs=tuple(penstock.files.find(inputs)),
            input_format=input_format,
            output=output,
            output_format=_output_format(output),
            dead_letters=dead_letters,
            dead_letters_default=f"{output}.dead-letters.ndjson" if output else "penstock.dead-letters.ndjson",
            errors_max=max_errors,
            chunk_records=chunk,
        )
        from penstock.usecases.process import process

        progress = choose_progress()
        try:
            report = process(spec, records=penstock.records, kinds=penstock.kinds, context=penstock.context(progress))
        except PenstockError as error:
            if as_json:
                _show_json(error.report if isinstance(error, TooManyErrors) else None, started_s, output, error)
            elif isinstance(error, TooManyErrors):
                _show(error.report, time.monotonic() - started_s)
            raise
    if as_json:
        _show_json(report, started_s, output, None)
    else:
        _show(report, time.monotonic() - started_s)


def _output_format(output: str | None) -> str:
    if output is None:
        return "ndjson"
    ending = Path(output).suffix.lower()
    if ending not in _OUTPUT_FORMATS:
        raise UsageError(
            f"-o {output}: the ending {ending or '(none)'} names no output format; valid: {', '.join(_OUTPUT_FORMATS)}",
            hint=f"Write -o {Path(output).with_suffix('.ndjson')}",
        )
    return _OUTPUT_FORMATS[ending]


def _show(report: ScriptReport, elapsed_s: float) -> None:
    """Print the closing lines: what became of every record, and why records failed."""
    shares = f"{report.produced:,} gave output + {report.dropped:,} dropped + {report.failed:,} failed"
    account = f"{count(report.records, 'record')} in = {shares}"
    rate = f"{duration(elapsed_s)}, {report.records / max(elapsed_s, 1e-9):,.0f} records/s"
    click.echo(f"{click.style(account, bold=True)} ({rate})", err=True)
    if report.output_bytes and report.output:
        click.echo(f"{count(report.rows, 'record')} written to {report.output} ({size(report.output_bytes)})", err=True)
    for (code, kind, line), number in report.causes.most_common(_CAUSES_SHOWN):
        what = f"{kind} at line {line} of the script" if kind and line else SENTENCES.get(code, code)
        click.echo(f"  {number:,} failed: {harmless(what)} [{harmless(code)}]", err=True)
    if report.dead_letters:
        click.echo(f"failed records and their errors: {report.dead_letters}", err=True)
    for path, member, reason in report.skipped[:_LEFT_OUT_SHOWN]:
        click.echo(f"  left out: {harmless(member)} in {path}: {reason}", err=True)
    if len(report.skipped) > _LEFT_OUT_SHOWN:
        click.echo(f"  left out: {len(report.skipped) - _LEFT_OUT_SHOWN:,} more; --json names them all", err=True)


def _show_json(report: ScriptReport | None, started_s: float, output: str | None, error: PenstockError | None) -> None:
    """Print the account as JSON: on standard output, or on standard error when the records go there."""
    summary: dict[str, Any] = {"ok": error is None, "elapsed_s": round(time.monotonic() - started_s, 3)}
    if report is not None:
        names = ("records", "produced", "dropped", "failed", "rows", "chunks", "output", "output_bytes", "dead_letters")
        summary |= {name: getattr(report, name) for name in names}
        summary["causes"] = [
            {"code": code, "type": kind, "script_line": line, "records": number}
            for (code, kind, line), number in report.causes.most_common()
        ]
        summary["left_out"] = [
            {"input": path, "member": member, "reason": reason} for path, member, reason in report.skipped
        ]
    if error is not None:
        summary["error"] = error_as_json(error)
    click.echo(json.dumps(summary, indent=2), err=output is None)
