"""How the columns of a table may change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.columns import (
    Column,
    ListType,
    MapType,
    StructType,
    all_columns,
    spelled,
    union,
    wider,
    with_ids,
)
from penstock.core.errors import SchemaRefused

PLAIN = ["boolean", "int", "long", "float", "double", "date", "string", "decimal(6, 2)", "decimal(10, 2)"]
TAGS = ListType(Column("element", "string"))


def columns(**kinds):
    return tuple(Column(name, kind) for name, kind in kinds.items())


def test_every_column_and_every_part_of_one_has_an_id_of_its_own():
    point = StructType(columns(x="double", tags=TAGS))
    made = with_ids(
        (), columns(id="long", point=point, named=MapType(Column("key", "string"), Column("value", point))), last_id=0
    )
    numbers = [column.id for column in all_columns(made)]
    assert numbers == sorted(set(numbers)) == list(range(1, len(numbers) + 1))


def test_a_table_keeps_its_columns_their_ids_and_their_order():
    base = with_ids((), columns(a="int", b="string", c="double"), last_id=0)
    after = with_ids(base, columns(new="date", c="float", a="long"), last_id=9)
    assert after == (
        Column("a", "long", 1),
        Column("b", "string", 2),
        Column("c", "double", 3),
        Column("new", "date", 10),
    )


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("int", "long", "long"),
        ("float", "double", "double"),
        ("decimal(6, 2)", "decimal(10, 2)", "decimal(10, 2)"),
        ("decimal(9, 2)", "decimal(10, 2)", "decimal(10, 2)"),
        ("int", "double", None),
        ("long", "float", None),
        ("decimal(6, 2)", "decimal(6, 3)", None),
        ("date", "timestamp", None),
        ("timestamp", "timestamptz", None),
        ("string", TAGS, None),
        (TAGS, TAGS, TAGS),
        (TAGS, ListType(Column("element", "string", 7)), TAGS),
        (TAGS, ListType(Column("element", "long")), None),
    ],
)
def test_a_type_becomes_one_that_loses_nothing_or_none(one, other, both):
    assert wider(one, other) == both
    assert wider(other, one) in (both, other if both is not None else None)


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(PLAIN), min_size=1), st.data())
def test_writing_what_a_table_has_changes_nothing_and_ids_are_given_once(kinds, data):
    base = with_ids((), columns(**kinds), last_id=0)
    some = data.draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, unique=True))
    assert with_ids(base, columns(**{name: kinds[name] for name in some}), last_id=99) == base
    assert union(base, base[::-1]) == base
    more = with_ids(base, columns(g="long", **kinds), last_id=99)
    assert union(base, more) == more
    assert len({column.id for column in more}) == len(more)


def test_two_runs_that_added_a_column_of_one_name_cannot_be_put_together():
    base = with_ids((), columns(a="int"), last_id=0)
    mine, theirs = (with_ids(base, columns(a="int", new="date"), last_id=last) for last in (1, 2))
    with pytest.raises(SchemaRefused, match="two runs have added it at the same time"):
        union(mine, theirs)
    with pytest.raises(SchemaRefused, match="it is int here and string there"):
        union(base, [Column("a", "string", 1)])


def test_every_difference_is_named():
    base = with_ids((), columns(a="int", b="string", c="date"), last_id=0)
    with pytest.raises(SchemaRefused) as caught:
        with_ids(base, columns(a="string", b="string", c="long", B="int"), last_id=3)
    assert [problem["place"] for problem in caught.value.problems] == ["B", "a", "c"]


def test_no_column_and_two_of_one_name_are_refused():
    with pytest.raises(SchemaRefused, match="there is no column"):
        with_ids((), (), last_id=0)
    with pytest.raises(SchemaRefused, match="there are two columns of this name"):
        with_ids((), (Column("a", "int"), Column("a", "int")), last_id=0)


def test_types_are_spelled_as_people_write_them():
    kind = StructType(columns(a="long", tags=TAGS, m=MapType(Column("key", "string"), Column("value", "double"))))
    assert spelled(kind) == "struct<a: long, tags: list<string>, m: map<string, double>>"
