"""Carries out a compiled suite by any function that can run a statement, and puts the answers into a result.

When the one statement fails, each expectation is asked by itself, so that only those that it is due to go without.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.checks.check import Answers, Failing, Finding
from penstock.checks.compiling import Compiled, Statement, judge, later_of, sample_of, scan_of
from penstock.checks.results import SuiteResult, Verdict

Execute = Callable[[str], Sequence[Sequence[Any]]]
Mask = Callable[[str, Any], Any]
Clock = Callable[[], float]


class StatementFailed(Exception):
    """A statement could not be run; its message says why, without a row's value."""


def validate(compiled: Compiled, execute: Execute, *, mask: Mask, clock: Clock = time.monotonic) -> SuiteResult:
    """Return the result of a suite.

    Args:
        compiled: the suite for a table.
        execute: runs a SELECT and returns its rows; raises StatementFailed.
        mask: from a column's name and a value to what may be shown of it.
        clock: seconds that only grow; takes the time of each pass.
    """
    return _Validation(compiled, execute, clock=clock, mask=mask).result()


class _Validation:
    def __init__(self, compiled: Compiled, execute: Execute, *, clock: Clock, mask: Mask) -> None:
        self._compiled, self._execute, self._clock, self._mask = compiled, execute, clock, mask
        self._answers: dict[int, dict[str, Any]] = {}
        self._failures = {
            number: asked.impossible for number, asked in enumerate(compiled.asked) if asked.check is None
        }

    def result(self) -> SuiteResult:
        began_s = self._clock()
        self._scan()
        scanned_s = self._clock()
        self._later()
        answered_s = self._clock()
        verdicts = tuple(self._verdict(number) for number in range(len(self._compiled.asked)))
        ended_s = self._clock()
        elapsed_s = {"scan": scanned_s - began_s, "later": answered_s - scanned_s, "samples": ended_s - answered_s}
        return SuiteResult(self._compiled.suite.name, verdicts, elapsed_s)

    def _scan(self) -> None:
        statement = self._compiled.scan
        if statement is None:
            return
        try:
            self._take(statement)
        except StatementFailed:
            for number in statement.names:
                alone = scan_of(self._compiled.asked, [number], self._compiled.table)
                self._take_or_fail(alone, number)

    def _later(self) -> None:
        numbers = [number for number in range(len(self._compiled.asked)) if number not in self._failures]
        alone = {number for number in numbers if (check := self._compiled.asked[number].check) and check.alone}
        together = later_of(self._compiled, self._answers, [number for number in numbers if number not in alone])
        try:
            if together is not None:
                self._take(together)
        except StatementFailed:
            alone |= set(together.names) if together is not None else set()
        for number in sorted(alone):
            self._take_or_fail(later_of(self._compiled, self._answers, [number]), number)

    def _take(self, statement: Statement) -> None:
        for number, answers in statement.answers(self._execute(statement.sql)[0]).items():
            self._answers.setdefault(number, {}).update(answers)

    def _take_or_fail(self, statement: Statement | None, number: int) -> None:
        try:
            if statement is not None:
                self._take(statement)
        except StatementFailed as error:
            self._failures[number] = str(error)

    def _verdict(self, number: int) -> Verdict:
        asked = self._compiled.asked[number]
        if number in self._failures or asked.check is None:
            return Verdict(asked.expectation, success=False, exception=self._failures[number])
        answers: Answers = self._answers.get(number, {})
        finding = judge(asked.check, answers)
        samples = self._samples(asked.check.failing) if asked.check.failing and not finding.success else []
        return Verdict(asked.expectation, finding.success, self._shown(finding), samples)

    def _samples(self, failing: Failing) -> list[Any]:
        try:
            rows = [json.loads(row[0]) for row in self._execute(sample_of(failing))]
        except StatementFailed:
            return []  # the verdict stands without them
        masked = [{name: self._mask(name, value) for name, value in row.items()} for row in rows]
        one = len(failing.columns) == 1 and "*" not in failing.columns
        return [next(iter(row.values())) for row in masked] if one else masked

    def _shown(self, finding: Finding) -> dict[str, Any]:
        if finding.shows is None:
            return dict(finding.result)
        return {
            name: self._masked(finding.shows, value) if name == "observed_value" else value
            for name, value in finding.result.items()
        }

    def _masked(self, column: str, value: Any) -> Any:
        if isinstance(value, Mapping):  # quantiles and their values
            return {**value, "values": [self._masked(column, one) for one in value["values"]]}
        return None if value is None else self._mask(column, value)
