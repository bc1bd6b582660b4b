"""Which rows an ingest reads of a database: bounds, parts, and values that go back to the server. Pure."""

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.connectors import mysql, postgresql
from penstock.connectors.databases import FromDatabase, Look, cuts_between, plan, relation, require_columns
from penstock.core.errors import TaskFailed

TYPES = {"id": "long", "at": "timestamptz", "name": "string", "price": "decimal(20, 4)", "ratio": "double"}


def source(**words: Any) -> FromDatabase:
    return FromDatabase.model_validate(words)


def conditions(wanted: FromDatabase, look: Look, *, since: str | None = None) -> tuple[str, ...]:
    return plan(wanted, look, since=since, quote=postgresql.quoted, literal=postgresql.literal).conditions


def test_without_a_cursor_everything_is_read():
    assert conditions(source(table="t"), Look(TYPES)) == ("",)


def test_the_first_run_reads_up_to_what_there_is():
    wanted = source(table="t", cursor="id")
    assert conditions(wanted, Look(TYPES, upto="7")) == ("\"id\" <= '7'",)
    assert conditions(wanted, Look(TYPES)) == ()


def test_the_next_one_goes_on_behind_that():
    wanted = source(table="t", cursor="id")
    assert conditions(wanted, Look(TYPES, upto="9"), since="7") == ("\"id\" <= '9' AND \"id\" > '7'",)
    assert conditions(wanted, Look(TYPES, upto="7"), since="7") == ()


@pytest.mark.parametrize(
    ("cursor", "lookback", "since", "start"),
    [
        ("at", "2h", "2024-03-31 01:30:00.5+00:00", "2024-03-30 23:30:00.500000+00:00"),
        ("id", 1000, "9007199254740993", "9007199254739993"),
        ("price", 0.5, "10.0000", "9.5000"),
    ],
)
def test_a_look_back_begins_so_far_before(cursor, lookback, since, start):
    wanted = source(table="t", cursor=cursor, lookback=lookback)
    [condition] = conditions(wanted, Look(TYPES, upto=since), since=since)
    assert condition == f"\"{cursor}\" <= '{since}' AND \"{cursor}\" >= '{start}'"


def test_there_is_no_looking_back_in_a_text():
    wanted = source(table="t", cursor="name", lookback="1h")
    with pytest.raises(TaskFailed, match="no looking back in 'name'"):
        conditions(wanted, Look(TYPES, upto="b"), since="a")


@pytest.mark.parametrize("value", ["1; DROP TABLE t", "1e400", "", "' OR 1=1 --"])
def test_a_number_that_a_server_gives_has_the_form_of_one(value):
    wanted = source(table="t", cursor="id")
    with pytest.raises(TaskFailed, match="no value that a cursor can be"):
        conditions(wanted, Look(TYPES, upto=value))


def test_a_text_that_a_server_gives_stays_a_text():
    value = "a'; DROP TABLE t; --\\"
    assert postgresql.literal(value, "string") == "'a''; DROP TABLE t; --\\'"
    assert mysql.literal(value, "string") == "'a''; DROP TABLE t; --\\\\'"
    assert mysql.literal("42", "decimal(20, 0)") == "42"


def test_names_are_quoted():
    assert relation(source(table='public.a"b'), postgresql.quoted) == '"public"."a""b"'
    assert relation(source(table="a`b"), mysql.quoted) == "`a``b`"
    assert relation(source(query="SELECT 1; "), mysql.quoted) == "(SELECT 1\n) AS penstock_query"


def test_parts_cover_every_row_once_nulls_as_well():
    wanted = source(table="t", split_by="id", parts=3)
    assert conditions(wanted, Look(TYPES, low="0", high="9")) == (
        '("id" < \'3\' OR "id" IS NULL)',
        "\"id\" >= '3' AND \"id\" < '6'",
        "\"id\" >= '6'",
    )
    assert conditions(wanted, Look(TYPES)) == ("",)
    assert conditions(wanted, Look(TYPES, low="5", high="5")) == ("",)


@given(low=st.integers(-(2**63), 2**63), width=st.integers(0, 2**64), parts=st.integers(2, 32))
def test_cuts_lie_inside_and_in_order(low, width, parts):
    cuts = [int(cut) for cut in cuts_between(str(low), str(low + width), kind="long", parts=parts)]
    assert len(cuts) < parts
    assert all(one < other for one, other in itertools.pairwise([low, *cuts]))
    assert all(cut <= low + width for cut in cuts)


def test_dates_and_times_are_cut_too():
    assert cuts_between("2024-01-01", "2024-01-05", kind="date", parts=4) == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert cuts_between("2024-01-01", "2024-01-01", kind="date", parts=4) == []
    assert cuts_between("2024-01-01 00:00:00+00", "2024-01-01 02:00:00+00", kind="timestamptz", parts=2) == [
        "2024-01-01 01:00:00+00:00"
    ]
    [cut] = cuts_between("0.1", "0.2", kind="decimal(9, 2)", parts=2)
    assert Decimal(cut) == Decimal("0.15")


def test_columns_that_cannot_be_told_apart_or_are_not_there_are_refused():
    with pytest.raises(TaskFailed, match="two columns 'ID'"):
        require_columns(source(table="t"), ["id", "ID"])
    with pytest.raises(TaskFailed, match="no column 'at'"):
        require_columns(source(table="t", cursor="at"), ["id"])


def test_floating_point_numbers_are_no_cursor():
    with pytest.raises(TaskFailed, match="cannot be read by ranges of 'ratio'"):
        conditions(source(table="t", cursor="ratio"), Look(TYPES, upto="0.5"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "either a table or a query"),
        ({"table": "t", "query": "SELECT 1"}, "either a table or a query"),
        ({"table": "t", "lookback": "1h"}, "say cursor, too"),
        ({"table": "t", "cursor": "at", "lookback": "soon"}, "no span of time"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(said, words):
    with pytest.raises(ValidationError, match=words):
        FromDatabase.model_validate(said)
