"""The cases of expectations: tables, expectations about them, and the verdicts of Great Expectations on pandas.

Used by the tests and, in its own environment, by `tools/parity_verdicts.py`; so it knows nothing of Penstock.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

FOLDER = Path(__file__).with_name("cases")
VERDICTS = FOLDER / "verdicts.json"
TYPES = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Case:
    """One expectation about one table."""

    table: str
    type: str
    kwargs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What it is known by; it stays when cases are added around it."""
        return f"{self.table} {self.type} {json.dumps(self.kwargs, sort_keys=True, ensure_ascii=False)}"


def cases() -> list[Case]:
    """Return all cases."""
    files = sorted(path for path in FOLDER.glob("*.yml") if path.stem not in ("tables", "differences"))
    return [Case(*entry) for path in files for entry in yaml.safe_load(path.read_text("utf-8"))]


def tables() -> dict[str, tuple[dict[str, str], pa.Table]]:
    """Return each table's columns with their types, and its rows."""
    return {name: (table["columns"], _arrow(table)) for name, table in _tables().items()}


def verdicts() -> dict[str, dict[str, Any]]:
    """Return the verdicts of Great Expectations by the names of cases."""
    found: dict[str, dict[str, Any]] = json.loads(VERDICTS.read_text("utf-8"))["verdicts"]
    return found


def differences() -> dict[str, str]:
    """Return, by the names of cases, why the verdict differs from that of Great Expectations."""
    entries = yaml.safe_load((FOLDER / "differences.yml").read_text("utf-8")) or []
    return {Case(*case).name: entry["because"] for entry in entries for case in entry["cases"]}


def _tables() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "tables.yml").read_text("utf-8"))
    return found


def _arrow(table: Mapping[str, Any]) -> pa.Table:
    columns = {}
    for place, (name, kind) in enumerate(table["columns"].items()):
        columns[name] = pa.array([_value(row[place], kind) for row in table["rows"]], _type(kind))
    return pa.table(columns)


def _type(kind: str) -> pa.DataType:
    if found := re.fullmatch(r"decimal\((\d+), (\d+)\)", kind):
        return pa.decimal128(int(found[1]), int(found[2]))
    return TYPES[kind]


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind.startswith("decimal"):
        return Decimal(value)
    if kind == "date":
        return dt.date.fromisoformat(value)
    if kind.startswith("timestamp"):
        return dt.datetime.fromisoformat(value)
    return value


def numbered() -> Iterator[tuple[str, Case]]:
    """Yield each case after a short name for a test."""
    for number, case in enumerate(cases()):
        yield f"{number}-{case.table}-{case.type}", case
