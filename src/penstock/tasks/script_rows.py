"""The types of what a script gives: those of its table, those that the task asks for, or those that the values have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from penstock.core import limits
from penstock.core.columns import Column
from penstock.core.duckdb_sql import quoted, text
from penstock.core.errors import TaskFailed
from penstock.core.ports import PipelineContext
from penstock.core.raw import FILE
from penstock.tasks import raw_sql
from penstock.tasks.raw_columns import LandingColumn, decide, settle

Ask = Callable[[str], Sequence[Sequence[Any]]]
LETTERS: Final = "penstock_letters"
_KINDS: Final[Mapping[str, str]] = {
    '"BIGINT"': "long",
    '"UBIGINT"': "long",
    '"DOUBLE"': "double",
    '"BOOLEAN"': "boolean",
    '"VARCHAR"': "text",
    '"JSON"': "text",  # of several kinds
}
# Types that JSON has no form for: a column of texts that has the name of such a column of the input may be one.
_HINTED: Final = ("date", "time", "timestamp", "timestamptz", "decimal")
_LINE_BYTES_MAX: Final = limits.SOURCE_PAGE.value * 2**20


def typed_columns(
    ctx: PipelineContext, rows: Path, *, known: Sequence[Column], source: Sequence[Column], wanted: Mapping[str, str]
) -> tuple[LandingColumn, ...]:
    """Return the columns of what a script has given.

    Args:
        ctx: of the attempt.
        rows: NDJSON, in the staging folder.
        known: columns of the table that they go to.
        source: columns of the table that they were made from.
        wanted: types that the task asks for, by name.

    Raises:
        TaskFailed: when some records have a field that differs from another in nothing but case.
    """
    with ctx.engine(tables={}) as ask:
        kinds = _kinds(ask, rows)
        hints = _hints(kinds, known, source, wanted)
        wrong = _misfits(ask, rows, [one for one in decide(kinds, (), wanted=hints, source={}) if one.field in hints])
        fitting = {name: kind for name, kind in hints.items() if not wrong[name]}
        columns = tuple(
            column if isinstance(column.type, str) else replace(column, how="as_is")
            for column in decide(kinds, known, wanted={**fitting, **wanted}, source={})
        )
        return settle(columns, _misfits(ask, rows, columns), "quarantine", is_new=True)


def rows_query(columns: Sequence[LandingColumn]) -> str:
    """Return the query of the rows that fit."""
    names = {column.name for column in columns}
    values = ", ".join(part for column in columns for part in raw_sql.picked(column, names))
    wrong = [raw_sql.misfit(column) for column in columns if column.how == "checked"]
    return f"SELECT {values} FROM {raw_sql.VIEW}" + (f" WHERE NOT ({' OR '.join(wrong)})" if wrong else "")


def misfits_query(columns: Sequence[LandingColumn], rows: Path, table: str) -> str | None:
    """Return the query of the rows that do not fit, each with the reason; None when all do."""
    return raw_sql.quarantined(columns, {str(rows): table}, is_new=True)


def letters_query(letters: Mapping[Path, int], table: str) -> str:
    """Return the query of the records that a script failed on.

    Args:
        letters: files of dead letters, each with how many records of the table came before those of its input.
        table: that the records are from.
    """
    before = ", ".join(f"({text(str(path))}, {count})" for path, count in letters.items())
    error = "concat_ws(': ', error.code, error.type, error.message) || coalesce(' at line ' || error.script_line, '')"
    return (
        f"SELECT record + place.before AS line, {error} AS error, coalesce(raw, CAST(data AS VARCHAR)) AS record,"
        f" {text(table)} AS _source FROM {LETTERS}"
        f" JOIN (VALUES {before}) AS place(file, before) ON {FILE} = place.file"
    )


def letters_view(letters: Mapping[Path, int]) -> str:
    """Return the query that reads dead letters."""
    paths = ", ".join(text(str(path)) for path in letters)
    error = "STRUCT(code VARCHAR, type VARCHAR, message VARCHAR, script_line BIGINT)"
    return (
        f"SELECT * FROM read_json([{paths}], format = 'newline_delimited',"
        f" columns = {{record: 'BIGINT', error: {text(error)}, raw: 'VARCHAR', data: 'JSON'}},"
        f" maximum_object_size = {_LINE_BYTES_MAX}, filename = {text(FILE)})"
    )


def _kinds(ask: Ask, rows: Path) -> dict[str, frozenset[str]]:
    """Return the kinds of values of each field, in the order in which they first appear.

    A field with a whole number past 64 bits is one of texts, as in raw data: DuckDB would round it to a double.
    """
    most = limits.LAKE_COLUMNS.value
    lines = f"read_ndjson_objects({text(str(rows))}, maximum_object_size = {_LINE_BYTES_MAX})"
    found = ask(
        "WITH seen AS MATERIALIZED (SELECT json_group_structure(json) AS shape,"
        f" bool_or(regexp_matches(CAST(json AS VARCHAR), '[0-9]{{19}}')) AS may_be_long FROM {lines})"
        " SELECT key, CAST(value AS VARCHAR), (SELECT may_be_long FROM seen)"
        f" FROM json_each((SELECT shape FROM seen)) LIMIT {most + 1}"
    )
    if len(found) > most:
        raise TaskFailed(
            f"the script gives more than {most:,} fields; a table has no more columns",
            hint="Give records the same few names, and what varies in values.",
        )
    kinds = {str(name): _kind(str(kind)) for name, kind, _ in found}
    numbers = [name for name, kind in kinds.items() if kind in ({"long"}, {"double"})]
    long = _past_64_bits(ask, rows, numbers) if found and found[0][2] else ()
    return kinds | dict.fromkeys(long, frozenset(["text"]))


def _past_64_bits(ask: Ask, rows: Path, names: Sequence[str]) -> list[str]:
    """Return which of some fields have whole numbers that 64 bits do not hold."""
    if not names:
        return []
    seen = [f"({quoted(name)} SIMILAR TO '-?[0-9]+' AND TRY_CAST({quoted(name)} AS BIGINT) IS NULL)" for name in names]
    as_text = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    (found,) = ask(
        f"SELECT {', '.join(f'coalesce(bool_or({one}), false)' for one in seen)} FROM read_json([{text(str(rows))}],"
        f" format = 'newline_delimited', columns = {{{as_text}}}, maximum_object_size = {_LINE_BYTES_MAX})"
    )
    return [name for name, is_long in zip(names, found, strict=True) if is_long]


def _kind(said: str) -> frozenset[str]:
    if said.startswith(("{", "[")):
        return frozenset(["json"])
    return frozenset([_KINDS[said]] if said in _KINDS else [])


def _hints(
    kinds: Mapping[str, frozenset[str]], known: Sequence[Column], source: Sequence[Column], wanted: Mapping[str, str]
) -> dict[str, str]:
    """Return types that columns of texts may have, since the input has them under the same names."""
    settled = {column.name for column in known} | wanted.keys()
    types = {column.name: column.type for column in source if isinstance(column.type, str)}
    return {
        name: types[name]
        for name, kind in kinds.items()
        if kind == {"text"} and name not in settled and types.get(name, "").startswith(_HINTED)
    }


def _misfits(ask: Ask, rows: Path, columns: Sequence[LandingColumn]) -> dict[str, int]:
    """Return how many values of each column that has to be checked do not fit it."""
    checked = [column for column in columns if column.how == "checked"]
    if not checked:
        return {}
    (row,) = ask(f"WITH {raw_sql.VIEW} AS ({raw_sql.lines_view([rows], checked)}) {raw_sql.counts(checked)}")
    return {column.field: int(count) for column, count in zip(checked, row, strict=True)}
