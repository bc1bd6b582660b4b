"""A suite and a table into SQL, and the answers back into findings. Pure: nothing here runs anything.

scan     one statement with the aggregates of all expectations, each written once however many need it
later    one statement with what must be grouped or ordered and is not clear from the scan yet
samples  a statement for each expectation that failed, with a few of the rows

Whoever runs them sets DuckDB's `TimeZone` to UTC, which times are written in, and keeps `preserve_insertion_order`,
which the order of rows rests on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.checks import expectations
from penstock.checks.check import Answers, Check, ExpectationType, Failing, Finding
from penstock.checks.suites import Expectation, Suite
from penstock.checks.tables import Impossible, Table
from penstock.core import limits
from penstock.core.duckdb_sql import quoted


@dataclass(frozen=True, slots=True)
class Asked:
    """One expectation on one table.

    Attributes:
        check: what is asked; None when it cannot be.
        impossible: why it cannot.
    """

    expectation: Expectation
    check: Check | None
    impossible: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One SELECT that gives one row.

    Attributes:
        sql: its text.
        names: for each expectation, by its number, from the names of its answers to columns of the row.
    """

    sql: str
    names: Mapping[int, Mapping[str, int]]

    def answers(self, row: Sequence[Any]) -> dict[int, Answers]:
        """Return each expectation's answers."""
        return {
            number: {name: row[column] for name, column in columns.items()} for number, columns in self.names.items()
        }


@dataclass(frozen=True, slots=True)
class Compiled:
    """A suite for one table.

    Attributes:
        asked: the expectations in the suite's order.
        scan: the statement over all rows; None when no expectation needs one.
    """

    suite: Suite
    table: Table
    asked: tuple[Asked, ...]
    scan: Statement | None


def compile_suite(suite: Suite, table: Table, *, types: Mapping[str, ExpectationType] | None = None) -> Compiled:
    """Return what to ask a table, and how to judge its answers."""
    types = types if types is not None else expectations.discover()
    asked = tuple(_asked(expectation, types[expectation.type], table) for expectation in suite.expectations)
    return Compiled(suite, table, asked, scan_of(asked, range(len(asked)), table))


def scan_of(asked: Sequence[Asked], numbers: Iterable[int], table: Table) -> Statement | None:
    """Return the statement over all rows for some of the expectations; None when they need none."""
    wanted = {number: check.scan for number in numbers if (check := asked[number].check) and check.scan}
    statement = _statement(wanted)
    return Statement(f"{statement.sql}\nFROM {table.relation}", statement.names) if statement else None


def later_of(compiled: Compiled, answers: Mapping[int, Answers], numbers: Iterable[int]) -> Statement | None:
    """Return the statement for what the scan has not made clear, for some of the expectations; None when all is.

    Args:
        compiled: the suite.
        answers: of the scan, by the expectation's number.
        numbers: of the expectations.
    """
    wanted: dict[int, Mapping[str, str]] = {}
    for number in numbers:
        check = compiled.asked[number].check
        if check is not None and (queries := check.later(answers.get(number, {}))):
            wanted[number] = {name: f"({query})" for name, query in queries.items()}
    return _statement(wanted)


def sample_of(failing: Failing) -> str:
    """Return a statement that gives some rows that failed, each as one JSON text."""
    columns = ", ".join(
        expression if name == "*" else f"{expression} AS {quoted(name)}" for name, expression in failing.columns.items()
    )
    rows = f"SELECT {columns} FROM {failing.source} LIMIT {limits.SAMPLES.value}"
    return f"SELECT CAST(to_json(r) AS VARCHAR) FROM (\n{rows}\n) AS r"


def judge(check: Check, answers: Answers) -> Finding:
    """Return the finding of one expectation, given all its answers."""
    return check.judge(answers)


def _asked(expectation: Expectation, type_: ExpectationType, table: Table) -> Asked:
    try:
        return Asked(expectation, type_.check(expectation.spec, table))
    except Impossible as error:
        return Asked(expectation, None, str(error))


def _statement(wanted: Mapping[int, Mapping[str, str]]) -> Statement | None:
    if not wanted:
        return None
    columns: dict[str, int] = {}
    names: dict[int, dict[str, int]] = {}
    for number, expressions in wanted.items():
        names[number] = {name: columns.setdefault(sql, len(columns)) for name, sql in expressions.items()}
    listed = ",\n  ".join(f"{sql} AS a{column}" for sql, column in columns.items())
    return Statement(f"SELECT\n  {listed}", names)
