"""What a script task is asked for, what it reports, and when errors are too many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from penstock.core import limits
from penstock.core.errors import RequestInvalid
from penstock.core.scripts import Cause, ScriptVersion


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """How many records may fail: a number of them, or a share of all.

    Attributes:
        records: at most so many, or None.
        share: at most this part of the records in, 0 to 1, judged from `errors_judged_from` records on and at the
        end; or None.
    """

    records: int | None = None
    share: float | None = None

    def is_exceeded(self, *, failed: int, records: int, at_end: bool) -> bool:
        """Return whether more records have failed than may."""
        if self.records is not None:
            return failed > self.records
        if self.share is None or (records < limits.ERRORS_JUDGED_FROM.value and not at_end):
            return False
        return failed > self.share * records

    def __str__(self) -> str:
        return f"{self.records:,}" if self.records is not None else f"{(self.share or 0) * 100:g}%"


def parse_error_budget(text: str) -> ErrorBudget:
    """Return the budget that words such as `10%` or `100` stand for.

    Raises:
        RequestInvalid: when they are neither a share of 0 % to 100 % nor a number of records.
    """
    try:
        if not text.isascii():
            raise ValueError
        if text.endswith("%"):
            share = float(text[:-1]) / 100
            if 0 <= share <= 1:
                return ErrorBudget(share=share)
        elif int(text) >= 0:
            return ErrorBudget(records=int(text))
    except ValueError:
        pass
    words = f"{text!r} is neither a number of records, such as 100, nor a share of 0% to 100%."
    raise RequestInvalid(words, hint="Say how many records may fail, such as 10% or 100.")


@dataclass(frozen=True, slots=True)
class ScriptSpec:
    """One script over some inputs.

    Attributes:
        inputs: paths, in the order of their records; `-` is standard input.
        input_format: for inputs whose name does not tell; None to go by the names.
        output: a path, or None for standard output.
        output_format: `ndjson`, `csv` or `parquet`.
        dead_letters: a path; None when nobody asked for one, then they go to `dead_letters_default`, if there are any.
        chunks_max: more chunks are refused; None for any number.
        seed: of the script's random numbers; None for one that follows from the script and the names of its inputs.
    """

    script: ScriptVersion
    inputs: tuple[str, ...]
    input_format: str | None
    output: str | None
    output_format: str
    dead_letters: str | None
    dead_letters_default: str
    errors_max: ErrorBudget
    chunk_records: int = limits.CHUNK_RECORDS.value
    seed: str | None = None
    chunks_max: int | None = None


@dataclass(slots=True)
class ScriptReport:
    """The account of every record: records = produced + dropped + failed.

    Attributes:
        records: that came in, readable or not.
        produced: that gave at least one output record.
        dropped: that gave none.
        failed: that became dead letters.
        rows: output records.
        causes: why records failed, with how many each.
        skipped: (input, member, reason) of archive members that hold no data.
        output_bytes: size of the output in its final format.
    """

    records: int = 0
    produced: int = 0
    dropped: int = 0
    failed: int = 0
    rows: int = 0
    chunks: int = 0
    output_bytes: int = 0
    output: str | None = None
    dead_letters: str | None = None
    causes: Counter[tuple[str, str | None, int | None]] = field(default_factory=Counter)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)

    def count_causes(self, causes: tuple[Cause, ...]) -> None:
        """Add why records failed."""
        for cause in causes:
            key = cause.code, cause.type, cause.script_line
            if key not in self.causes and len(self.causes) >= limits.CAUSES.value:
                key = cause.code, None, None
            self.causes[key] += cause.records
