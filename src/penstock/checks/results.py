"""The result of a suite on a table, and how it is written: JSON as Great Expectations has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.checks.suites import Expectation


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one expectation.

    Attributes:
        success: whether the table is as expected; false when it could not be judged.
        result: figures: observed value, counts and shares.
        samples: some rows that failed, masked; a value each for an expectation about one column, else a mapping.
        exception: why it could not be judged; empty when it was. Never with a row's value.
    """

    expectation: Expectation
    success: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[Any] = ()
    exception: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as Great Expectations would write it."""
        config: dict[str, Any] = {
            "type": self.expectation.type,
            "kwargs": dict(self.expectation.kwargs),
            "meta": dict(self.expectation.meta),
            "severity": self.expectation.severity,
        }
        if self.expectation.id:
            config["id"] = self.expectation.id
        samples = {"partial_unexpected_list": list(self.samples)} if self.samples else {}
        return {
            "success": self.success,
            "expectation_config": config,
            "result": {**self.result, **samples},
            "meta": {},
            "exception_info": {
                "raised_exception": bool(self.exception),
                "exception_message": self.exception or None,
                "exception_traceback": None,
            },
        }


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What became of a suite on one table.

    Attributes:
        verdicts: in the suite's order.
        elapsed_s: seconds for each pass: `scan`, `later`, `samples`.
    """

    suite: str
    verdicts: tuple[Verdict, ...]
    elapsed_s: Mapping[str, float]

    @property
    def success(self) -> bool:
        """Whether every expectation was met."""
        return all(verdict.success for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """Return it as Great Expectations would write it."""
        evaluated, met = len(self.verdicts), sum(verdict.success for verdict in self.verdicts)
        return {
            "success": self.success,
            "suite_name": self.suite,
            "statistics": {
                "evaluated_expectations": evaluated,
                "successful_expectations": met,
                "unsuccessful_expectations": evaluated - met,
                "success_percent": 100 * met / evaluated if evaluated else None,
            },
            "results": [verdict.as_json() for verdict in self.verdicts],
            "suite_parameters": {},
            "meta": {"elapsed_s": dict(self.elapsed_s)},
        }
