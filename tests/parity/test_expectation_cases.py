"""The verdicts on the published cases are those of Great Expectations on pandas; where not, it is written why."""

import subprocess
from pathlib import Path

import pytest

from penstock.checks.compiling import compile_suite
from penstock.checks.engine import open_engine
from penstock.checks.expectations import discover
from penstock.checks.results import Verdict
from penstock.checks.suites import Expectation, Suite
from penstock.checks.tables import Table
from penstock.checks.validating import validate
from penstock.core.columns import Column
from tests.parity.expectation_cases import Case, cases, differences, numbered, tables, verdicts

ROOT = Path(__file__).parents[2]
PARITY = ROOT / ".bench" / "great_expectations" / "stamp"
TYPES = discover()
TABLES = tables()
# What Great Expectations has in databases only, or not at all, has tests of its own.
NOT_ON_PANDAS = {
    "expect_column_max_to_be_fresh",
    "expect_column_type_to_be",
    "expect_column_values_to_match_like_pattern",
    "expect_column_values_to_match_like_pattern_list",
    "expect_column_values_to_not_match_like_pattern",
    "expect_column_values_to_not_match_like_pattern_list",
    "expect_multicolumn_values_to_be_unique",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
}


@pytest.fixture(scope="module")
def engine():
    with open_engine(tables={name: rows for name, (_, rows) in TABLES.items()}, threads=1) as execute:
        yield execute


@pytest.mark.parametrize(("name", "case"), [pytest.param(name, case, id=name) for name, case in numbered()])
def test_verdicts_are_those_of_great_expectations(name, case, engine):
    """Also how many values are unexpected, where both say it."""
    ours, theirs = verdict(case, engine), verdicts()[case.name]
    assert (ours.success != theirs["success"]) == (case.name in differences()), (ours, theirs)
    if "exception" not in theirs and case.name not in differences() and not ours.exception:
        for figure in {"element_count", "unexpected_count"} & ours.result.keys() & theirs.keys():
            assert ours.result[figure] == theirs[figure], (figure, ours, theirs)


def test_every_type_has_cases():
    """What is not on pandas stands in a list here."""
    assert sorted(set(TYPES) - {case.type for case in cases()} - NOT_ON_PANDAS) == []


def test_there_are_enough_cases():
    """The differences among them are few, and each is a case."""
    names = {case.name for case in cases()}
    assert len(names) == len(cases()) >= 150
    assert set(differences()) <= names
    assert len(differences()) <= len(names) / 20


def test_the_written_verdicts_are_those_of_the_real_library():
    """`tools/parity` makes the environment for it."""
    if not PARITY.exists():
        pytest.skip("there is no environment with great-expectations; tools/parity makes it")
    done = subprocess.run([ROOT / "tools" / "parity"], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def verdict(case: Case, engine) -> Verdict:
    """Ours on one case."""
    spec = TYPES[case.type].Spec.model_validate(case.kwargs)
    columns = tuple(Column(name, kind) for name, kind in TABLES[case.table][0].items())
    suite = Suite("case", (Expectation(case.type, spec, case.kwargs, {}, "critical"),))
    compiled = compile_suite(suite, Table(f'"{case.table}"', columns), types=TYPES)
    return validate(compiled, engine, mask=lambda _, value: value).verdicts[0]
