"""What an expectation becomes on one table: aggregates to be asked for, and how the answers are judged.

Three ways to ask, cheapest first. `scan` holds aggregates over the rows, and those of all expectations are asked in one
statement. `later` makes, of the answers of the scan, subqueries that give one value each, for what must be grouped or
ordered and is not clear yet; those go into a second statement. `failing` finds rows that failed, for samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.checks.conditions import condition_sql, parse_condition
from penstock.checks.specs import RowsSpec, Spec
from penstock.checks.tables import Table

Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one expectation, without samples.

    Attributes:
        success: whether the table is as expected.
        result: figures, as Great Expectations names them.
        shows: the column whose own value is among the figures, which is masked like the samples; None when none is.
    """

    success: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    shows: str | None = None


@dataclass(frozen=True, slots=True)
class Failing:
    """Where to find rows that failed.

    Attributes:
        source: what stands in the FROM clause, with its WHERE, GROUP BY or both.
        columns: expressions by the name of the table's column that they show.
    """

    source: str
    columns: Mapping[str, str]


def _nothing(_: Answers) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Check:
    """What to ask a table, and how to judge its answers.

    Attributes:
        judge: from all answers, by the names used here, to a finding.
        scan: aggregate expressions over the relation.
        later: from the answers of the scan, the subqueries that are needed still; each gives one value.
        failing: how to find rows that failed; None when there are none to show.
        alone: `later` holds SQL that a person wrote, which is run by itself lest it spoil the rest.
    """

    judge: Callable[[Answers], Finding]
    scan: Mapping[str, str] = field(default_factory=dict)
    later: Callable[[Answers], Mapping[str, str]] = _nothing
    failing: Failing | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class ExpectationType:
    """One type of expectation.

    Attributes:
        Spec: the model of its `kwargs`.
        check: from those and a table to what is asked; raises Impossible when the table cannot be asked.
    """

    Spec: type[Spec]
    check: Callable[[Any, Table], Check]


class Rows:
    """The rows that an expectation is about: all of a table, or those of its row condition."""

    def __init__(self, table: Table, spec: RowsSpec) -> None:
        self.table = table
        condition = parse_condition(spec.row_condition, spec.condition_parser)
        self._condition = condition_sql(condition, table) if condition is not None else None

    def aggregate(self, function: str, where: str | None = None) -> str:
        """Return an aggregate over these rows, or over those of them that fulfil something."""
        conditions = [part for part in (self._condition, where) if part is not None]
        return f"{function} FILTER (WHERE {_all(conditions)})" if conditions else function

    def source(self, where: str | None = None) -> str:
        """Return these rows as a FROM clause with its WHERE."""
        conditions = [part for part in (self._condition, where) if part is not None]
        return self.table.relation + (f" WHERE {_all(conditions)}" if conditions else "")


def each(rows: Rows, *, fails: str, present: str, mostly: float, columns: Mapping[str, str]) -> Check:
    """Return the check of something that holds for each value or not.

    Args:
        rows: that count.
        fails: a condition that is true for a value that is not as expected, and false or null for a missing one.
        present: a condition or an expression that is true or not null for what counts; `*` when every row does.
        mostly: the share that must hold.
        columns: of the samples.
    """
    scan = {"all": rows.aggregate("count(*)"), "unexpected": rows.aggregate("count(*)", fails)}
    scan["present"] = rows.aggregate(f"count({present})")
    return Check(judge_each(mostly), scan=scan, failing=Failing(rows.source(fails), columns))


def judge_each(mostly: float) -> Callable[[Answers], Finding]:
    """Return the judgement over `all`, `present` and `unexpected`, as Great Expectations makes it."""

    def judge(answers: Answers) -> Finding:
        every, present, unexpected = answers["all"], answers["present"], answers["unexpected"]
        success = present == 0 or (float(present) - float(unexpected)) / float(present) >= mostly
        result = {
            "element_count": every,
            "missing_count": every - present,
            "missing_percent": 100 * (every - present) / every if every else None,
            "unexpected_count": unexpected,
            "unexpected_percent": 100 * unexpected / present if present else None,
            "unexpected_percent_total": 100 * unexpected / every if every else None,
        }
        return Finding(success, result)

    return judge


def _all(conditions: list[str]) -> str:
    return conditions[0] if len(conditions) == 1 else " AND ".join(f"({part})" for part in conditions)
