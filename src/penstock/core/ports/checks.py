"""The port of suites: expectations about a table, read, and judged by whoever can run a SELECT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.core.columns import Column
from penstock.core.projects import ProjectProblem


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a suite on a table.

    Attributes:
        verdicts: as Great Expectations writes them, samples masked, in the suite's order.
        failures: of each expectation that was not met, in words and figures, without a row's value.
    """

    suite: str
    success: bool
    verdicts: Sequence[Mapping[str, Any]]
    failures: Sequence[str] = ()
    elapsed_s: Mapping[str, float] = field(default_factory=dict)


class CheckedSuite(Protocol):
    """A suite that has been read and checked."""

    @property
    def name(self) -> str:
        """What its author calls it."""

    def judge(
        self,
        columns: Sequence[Column],
        *,
        relation: str,
        execute: Callable[[str], Sequence[Sequence[Any]]],
        now: float,
        mask: Callable[[str, Any], Any],
        others: Mapping[str, str],
    ) -> Judgement:
        """Return what becomes of it on a table.

        Args:
            columns: of the table.
            relation: what stands for it in a FROM clause.
            execute: runs one SELECT and returns its rows; raises TaskFailed with words that hold no values.
            now: seconds since 1970, from where freshness is measured.
            mask: from a column's name and a value to what may be shown of it.
            others: relations of other tables that expectations name, by their names.
        """


class Suites(Protocol):
    """Suites in the format of Great Expectations."""

    def problems(self, source: bytes, *, name: str) -> Sequence[ProjectProblem]:
        """Return everything that is wrong with a suite; `name` is its file's."""

    def suite(self, source: bytes, *, name: str) -> CheckedSuite:
        """Return a suite.

        Raises:
            ProjectInvalid: with everything that is wrong with it.
        """
