"""Suites on small tables, for tests of checks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from penstock.checks.compiling import Compiled, compile_suite
from penstock.checks.engine import open_engine
from penstock.checks.results import SuiteResult, Verdict
from penstock.checks.suites import Suite, read_suite
from penstock.checks.tables import Table
from penstock.checks.validating import validate
from penstock.core.columns import Column
from penstock.core.projects import ProjectProblem

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z
_KINDS = {
    "string": "string",
    "int64": "long",
    "int32": "int",
    "double": "double",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us]": "timestamp",
    "timestamp[us, tz=UTC]": "timestamptz",
}


def columns_of(table: pa.Table) -> tuple[Column, ...]:
    """Columns as Penstock has them."""
    return tuple(
        Column(field.name, _KINDS.get(str(field.type), str(field.type).replace("decimal128", "decimal")))
        for field in table.schema
    )


def suite_of(*expectations: tuple[str, Mapping[str, Any]]) -> Suite:
    """A suite that must be valid."""
    entries = [{"type": name, "kwargs": dict(kwargs)} for name, kwargs in expectations]
    suite, problems = read_suite("suite.json", json.dumps({"name": "suite", "expectations": entries}).encode())
    assert suite is not None, problems
    return suite


def compiled_for(rows: Mapping[str, Any] | pa.Table, *expectations: tuple[str, Mapping[str, Any]]) -> Compiled:
    """A suite for a table called `rows`."""
    table = rows if isinstance(rows, pa.Table) else pa.table(dict(rows))
    others = {"other": "(VALUES (1), (2))"}
    return compile_suite(suite_of(*expectations), Table("rows", columns_of(table), others, NOW_S))


def result_on(
    rows: Mapping[str, Any] | pa.Table, *expectations: tuple[str, Mapping[str, Any]], mask: Any = lambda _, value: value
) -> SuiteResult:
    """What a suite says of rows."""
    table = rows if isinstance(rows, pa.Table) else pa.table(dict(rows))
    with open_engine(tables={"rows": table}, threads=1) as execute:
        return validate(compiled_for(table, *expectations), execute, mask=mask)


def verdict_on(rows: Mapping[str, Any] | pa.Table, name: str, **kwargs: Any) -> Verdict:
    """What one expectation says of rows."""
    return result_on(rows, (name, kwargs)).verdicts[0]


def problems_of(*entries: Any, **file: Any) -> Sequence[ProjectProblem]:
    """What is wrong with a suite, its JSON a member a line."""
    document = {"name": "suite", "expectations": list(entries), **file}
    return read_suite("orders.json", json.dumps(document, indent=1).encode())[1]
