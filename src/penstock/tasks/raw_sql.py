"""The SQL by which raw data lands: reading lines and Parquet, finding values that do not fit, casting them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from penstock.core import limits
from penstock.core.columns import ColumnType, spelled
from penstock.core.duckdb_sql import quoted, sql_type, text
from penstock.core.raw import FILE, HASH, landed_name
from penstock.tasks.raw_columns import GUESSES, LandingColumn, Policy

VIEW: Final = "penstock_raw"
REJECTED: Final = "penstock_rejected"

_ANY_UBIGINT: Final = "decimal(20, 0)"
_LINE_BYTES_MAX: Final = limits.SOURCE_PAGE.value * 2**20
_NUMBER: Final = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_MOMENT: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_FORMS: Final = {  # DuckDB rounds '1.5' to an integer and cuts the time off a date, and says nothing
    "boolean": "(?i)true|false",
    "int": r"[+-]?[0-9]+",
    "long": r"[+-]?[0-9]+",
    "float": _NUMBER,
    "double": _NUMBER,
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "time": r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?",
    "timestamp": _MOMENT,
    "timestamptz": _MOMENT + r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)",
}
# Narrower, when nobody has said so: 007 is no number, and neither is 1e5.
_GUESSED: Final = _FORMS | {
    "boolean": "true|false|True|False|TRUE|FALSE",
    "long": r"-?(0|[1-9][0-9]{0,17})",
    "double": r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?",
}


def lines_view(files: Sequence[Path], columns: Sequence[LandingColumn]) -> str:
    """Return the query that reads lines; what has to be looked at or cast is text still."""
    types = {column.field: sql_type(column.type) if column.how == "as_is" else "VARCHAR" for column in columns}
    said = ", ".join(f"{quoted(name)}: {text(kind)}" for name, kind in {HASH: "VARCHAR", **types}.items())
    paths = ", ".join(text(str(file)) for file in files)
    return (
        f"SELECT * FROM read_json([{paths}], format = 'newline_delimited', columns = {{{said}}},"
        f" maximum_object_size = {_LINE_BYTES_MAX}, filename = {text(FILE)})"
    )


def rejected_view(files: Sequence[Path]) -> str:
    """Return the query that reads what was rejected."""
    paths = ", ".join(text(str(file)) for file in files)
    return (
        f"SELECT * FROM read_json([{paths}], format = 'newline_delimited',"
        f" columns = {{line: 'BIGINT', error: 'VARCHAR', record: 'VARCHAR'}},"
        f" maximum_object_size = {_LINE_BYTES_MAX}, filename = {text(FILE)})"
    )


def parquet_view(files: Sequence[Path]) -> str:
    """Return the query that reads Parquet files, by the names of their columns."""
    paths = ", ".join(text(str(file)) for file in files)
    return f"SELECT * FROM read_parquet([{paths}], union_by_name = true, filename = {text(FILE)})"


def parquet_parts(files: Sequence[Path]) -> str:
    """Return the query of all parts of Parquet files' columns, the outer ones first, with how many each has itself."""
    paths = ", ".join(text(str(file)) for file in files)
    return f"SELECT file_name AS file, name, coalesce(num_children, 0) AS parts FROM parquet_schema([{paths}])"


def outer_parts(found: Iterable[Sequence[Any]]) -> Iterator[tuple[str, str]]:
    """Yield the columns among the parts of files, each with its file."""
    file, inside = None, [0]  # of how many parts something is yet to come, from the outside in
    for each, name, parts in found:
        if each != file:
            file, inside = each, [int(parts)]
            continue
        if len(inside) == 1:
            yield str(each), str(name)
        inside[-1] -= 1
        inside.append(int(parts))
        while len(inside) > 1 and inside[-1] == 0:
            inside.pop()


def may_be_renamed(names: Sequence[str]) -> bool:
    """Return whether the engine may have given names of its own to columns whose names it takes for one: `a`, `A_1`."""
    lowered = {name.lower() for name in names}
    return any(found[1] in lowered for name in lowered if (found := re.fullmatch(r"(.*)_\d+", name, re.DOTALL)))


def rows(columns: Sequence[LandingColumn], sources: Mapping[str, str], *, policy: Policy, is_new: bool) -> str:
    """Return the query whose rows land.

    Args:
        columns: settled.
        sources: where rows are from, by file.
        policy: with `quarantine`, rows that do not fit are left out.
        is_new: whether there is no table yet.
    """
    taken = {column.name for column in columns}
    values = [part for column in columns for part in picked(column, taken)]
    where = _misfitting(columns, is_new=is_new) if policy == "quarantine" else []
    bound = f" WHERE NOT ({' OR '.join(where)})" if where else ""
    named = ", ".join([*values, _source(sources), quoted(HASH)])
    return f"SELECT {named} FROM {_with_sources(VIEW, sources)}{bound}"


def quarantined(columns: Sequence[LandingColumn], sources: Mapping[str, str], *, is_new: bool) -> str | None:
    """Return the query of the rows that do not fit, with the reason; None when every row may."""
    where = _misfitting(columns, is_new=is_new)
    if not where:
        return None
    reasons = ", ".join(
        f"CASE WHEN {condition} THEN {text(reason)} END" for condition, reason in _reasons(columns, is_new=is_new)
    )
    record = ", ".join(f"{text(column.field)}: {quoted(column.field)}" for column in columns)
    return (
        f"SELECT CAST(NULL AS BIGINT) AS line, concat_ws('; ', {reasons}) AS error,"
        f" CAST(to_json({{{record}}}) AS VARCHAR) AS record, {_source(sources)} FROM {_with_sources(VIEW, sources)}"
        f" WHERE {' OR '.join(where)}"
    )


def rejected_rows(sources: Mapping[str, str]) -> str:
    """Return the query of what was rejected before."""
    return f"SELECT line, error, record, {_source(sources)} FROM {_with_sources(REJECTED, sources)}"


def without_values(kinds: Mapping[str, str]) -> list[str]:
    """Return those columns of Parquet files that have nulls only and no type, of all with DuckDB's types."""
    return [name for name, kind in kinds.items() if kind == '"NULL"']


def parquet_rows(kinds: Mapping[str, str], sources: Mapping[str, str], *, known: Mapping[str, str]) -> str:
    """Return the query whose rows land, of Parquet files with these columns.

    Columns without values come with the first file that has some. A new column of 64 bits without a sign is decimal,
    since a `long` has no place for half of what it may hold.

    Args:
        kinds: DuckDB's types of the columns.
        sources: where rows are from, by file.
        known: the types of the table's columns.
    """
    kinds = {name: kind for name, kind in kinds.items() if name != FILE}
    empty = set(without_values(kinds))
    picked = []
    for name, kind in kinds.items():
        value, landed = quoted(name), landed_name(name)
        if kind == "UBIGINT" and known.get(landed, _ANY_UBIGINT) == _ANY_UBIGINT:
            value = f"CAST({value} AS {_ANY_UBIGINT})"
        if landed in known or name not in empty:
            picked.append(f"{value} AS {quoted(landed)}")
    whole = ", ".join(f"{text(name)}: {quoted(name)}" for name in kinds)
    digest = f"md5(CAST({{{whole}}} AS VARCHAR)) AS {quoted(HASH)}"
    return f"SELECT {', '.join([*picked, _source(sources), digest])} FROM {_with_sources(VIEW, sources)}"


def count_both(good: str, bad: str) -> str:
    """Return the query that says how many rows two queries give."""
    return f"SELECT (SELECT count(*) FROM ({good})) AS good, (SELECT count(*) FROM ({bad})) AS bad"


def nothing(columns: Mapping[str, str]) -> str:
    """Return the query of no rows, with the columns that are asked for."""
    types = {**columns, "_source": "string", HASH: "string"}
    picked = ", ".join(f"CAST(NULL AS {sql_type(kind)}) AS {quoted(name)}" for name, kind in types.items())
    return f"SELECT {picked} WHERE false"


# Takes the place of what an earlier turn of the same attempt has rejected.
NOTHING_REJECTED: Final = (
    "SELECT CAST(NULL AS BIGINT) AS line, CAST(NULL AS VARCHAR) AS error, CAST(NULL AS VARCHAR) AS record,"
    " CAST(NULL AS VARCHAR) AS _source WHERE false"
)


def counts(columns: Sequence[LandingColumn]) -> str:
    """Return the query of how many values do not fit: one row, one number for each column that is to be checked."""
    checked = [column for column in columns if column.how == "checked"]
    return "SELECT " + ", ".join(f"count(*) FILTER (WHERE {misfit(column)})" for column in checked) + f" FROM {VIEW}"


def fits(columns: Sequence[LandingColumn]) -> str:
    """Return the query of which types all texts of a column fit: one row, a boolean for each column and type."""
    parts = []
    for column in columns:
        name = quoted(column.field)
        for kind in GUESSES:
            form, cast = text(_GUESSED[kind]), f"TRY_CAST({name} AS {sql_type(kind)})"
            fit = f"regexp_full_match({name}, {form}) AND {cast} IS NOT NULL"
            parts.append(f"bool_and({name} IS NULL OR ({fit}))")
    return f"SELECT {', '.join(parts)} FROM {VIEW}"


def picked(column: LandingColumn, taken: set[str]) -> list[str]:
    """Return what stands in a SELECT for a column; two expressions when it has another beside it."""
    name, field = quoted(column.name), quoted(column.field)
    if column.how == "as_is":
        return [f"{field} AS {name}"]
    if column.how == "cast":
        return [f"CAST({field} AS {sql_type(column.type)}) AS {name}"]
    fitting = f"CASE WHEN NOT ({misfit(column)}) THEN TRY_CAST({field} AS {sql_type(column.type)}) END AS {name}"
    if not column.beside:
        return [fitting]
    beside = column.beside if column.beside not in taken else f"{column.beside}_"
    return [fitting, f"CASE WHEN {misfit(column)} THEN {field} END AS {quoted(beside)}"]


def misfit(column: LandingColumn) -> str:
    """Return the condition that a value is there and does not fit its column."""
    name = quoted(column.field)
    form = _form(column.type)
    if form is None:
        return f"{name} IS NOT NULL"
    kind = sql_type(column.type)
    return (
        f"({name} IS NOT NULL AND (NOT regexp_full_match({name}, {text(form)}) OR TRY_CAST({name} AS {kind}) IS NULL))"
    )


def _form(kind: ColumnType) -> str | None:
    """Return how a value of a type is written; None for a type that no text is taken for."""
    if not isinstance(kind, str):
        return None
    if found := re.fullmatch(r"decimal\(\d+, ?(\d+)\)", kind):
        return rf"[+-]?[0-9]+(\.[0-9]{{0,{found[1]}}})?"
    return _FORMS.get(kind)


def _misfitting(columns: Sequence[LandingColumn], *, is_new: bool) -> list[str]:
    return [condition for condition, _ in _reasons(columns, is_new=is_new)]


def _reasons(columns: Sequence[LandingColumn], *, is_new: bool) -> list[tuple[str, str]]:
    """Return conditions under which a row does not fit, each with its reason."""
    found = []
    for column in columns:
        if column.is_new and not is_new:
            found.append((f"{quoted(column.field)} IS NOT NULL", f"{column.name}: the table does not have it"))
        elif column.how == "checked":
            found.append((misfit(column), f"{column.name}: it is not {spelled(column.type)}, as the table has it"))
    return found


def _source(sources: Mapping[str, str]) -> str:
    """Return the column that says where a row is from."""
    only = next(iter(sources.values()))
    value = text(only) if len(set(sources.values())) == 1 else "penstock_sources.source"
    return f"{value} AS {quoted('_source')}"


def _with_sources(view: str, sources: Mapping[str, str]) -> str:
    """Return what rows are read from, each with where it is from."""
    if len(set(sources.values())) == 1:
        return view
    pairs = ", ".join(f"({text(path)}, {text(source)})" for path, source in sources.items())
    return f"{view} JOIN (VALUES {pairs}) AS penstock_sources(file, source) ON {quoted(FILE)} = penstock_sources.file"
