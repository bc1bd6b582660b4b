"""How many records may fail, and the account of those that did."""

import pytest

from penstock.core.processing import ErrorBudget, ScriptReport
from penstock.core.scripts import Cause


@pytest.mark.parametrize(
    ("budget", "failed", "records", "at_end", "exceeded"),
    [
        (ErrorBudget(records=0), 0, 10, False, False),
        (ErrorBudget(records=0), 1, 10, False, True),
        (ErrorBudget(records=2), 2, 2, False, False),
        (ErrorBudget(records=2), 3, 10**9, False, True),
        (ErrorBudget(share=0.1), 999, 999, False, False),
        (ErrorBudget(share=0.1), 2, 10, True, True),
        (ErrorBudget(share=0.1), 1, 10, True, False),
        (ErrorBudget(share=0.1), 100, 1000, False, False),
        (ErrorBudget(share=0.1), 101, 1000, False, True),
        (ErrorBudget(share=0.0), 1, 1_000_000, True, True),
        (ErrorBudget(share=0.0), 0, 0, True, False),
        (ErrorBudget(share=1.0), 1_000, 1_000, True, False),
        (ErrorBudget(), 10, 10, True, False),
    ],
)
def test_a_number_counts_at_once_and_a_share_from_a_thousand_on_and_at_the_end(
    budget, failed, records, at_end, exceeded
):
    assert budget.is_exceeded(failed=failed, records=records, at_end=at_end) is exceeded


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (ErrorBudget(records=1_000), "1,000"),
        (ErrorBudget(records=0), "0"),
        (ErrorBudget(share=0.1), "10%"),
        (ErrorBudget(share=0.005), "0.5%"),
        (ErrorBudget(share=0.0), "0%"),
    ],
)
def test_a_budget_reads_as_it_was_written(budget, words):
    assert str(budget) == words


def test_the_same_cause_in_many_chunks_is_one():
    report = ScriptReport()
    report.count_causes((Cause("script_error", "KeyError", 3, 2), Cause("script_error", "KeyError", 4, 1)))
    report.count_causes((Cause("script_error", "KeyError", 3, 5),))
    assert dict(report.causes) == {("script_error", "KeyError", 3): 7, ("script_error", "KeyError", 4): 1}
