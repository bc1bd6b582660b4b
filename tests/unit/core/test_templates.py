"""`${...}` in what a task says."""

import pytest

from penstock.core.errors import RequestInvalid
from penstock.core.templates import Meanings, filled, filled_spec, names_in, unknown_names

MEANINGS = Meanings("2026-03-01", "run_1", {"region": "br", "full": True, "none": None}, {"path": "a.csv", "n": 3})


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("day=${date}", "day=2026-03-01"),
        ("${date - 1}|${date+31}|${ date }", "2026-02-28|2026-04-01|2026-03-01"),
        ("${params.region}-${params.full}-${params.none}", "br-true-"),
        ("${item.path}#${item.n}", "a.csv#3"),
        ("${run}", "run_1"),
        ("$${date} costs $5 and {x}", "${date} costs $5 and {x}"),
        ("${secret:TOKEN}", "${secret:TOKEN}"),
    ],
)
def test_names_are_replaced_by_what_they_stand_for(text, becomes):
    assert filled(text, MEANINGS) == becomes
    assert list(unknown_names(text, params=["region", "full", "none"], item=True)) == []


def test_texts_in_lists_and_mappings_are_filled_and_other_values_stay():
    spec = {"from": {"a": "${date}"}, "list": ["${run}", 3, None, True]}
    assert filled(spec, MEANINGS) == {"from": {"a": "2026-03-01"}, "list": ["run_1", 3, None, True]}


def test_in_sql_a_value_between_quotes_stays_a_value():
    meanings = Meanings(params={"x": "a' || (SELECT 1) || '"}, item={"name": "O'Brien"})
    assert filled("SELECT '${params.x}'", meanings, sql=True) == "SELECT 'a'' || (SELECT 1) || '''"
    spec = {"sql": "'${item.name}'", "from": {"query": "'${item.name}'", "params": {"query": "${item.name}"}}}
    assert filled_spec(spec | {"to": "${item.name}"}, meanings) == {
        "sql": "'O''Brien'",
        "from": {"query": "'O''Brien'", "params": {"query": "O'Brien"}},
        "to": "O'Brien",
    }


def test_what_is_filled_in_is_not_filled_again():
    assert filled("${params.x}", Meanings(params={"x": "${date}"})) == "${date}"


@pytest.mark.parametrize("text", ["${params.regoin}", "${item}", "${item.x}", "${date", "${}", "${nothing}"])
def test_a_name_that_stands_for_nothing_is_refused(text):
    with pytest.raises(RequestInvalid):
        filled(text, MEANINGS)
    if not text.startswith("${item"):
        assert [one.found for one in unknown_names(text, params=["region"], item=True)] == [text]


def test_a_date_is_asked_for_in_a_run_without_one():
    with pytest.raises(RequestInvalid) as caught:
        filled("${date}", Meanings())
    assert caught.value.hint == "Run it with --date YYYY-MM-DD."


def test_parts_of_items_are_known_where_values_are_listed():
    (found,) = unknown_names("${item.pth} ${item.path}", params=[], item=True, parts=["path"])
    assert (found.found, found.valid) == ("${item.pth}", ("date", "run", "item", "item.path"))
    assert [one.found for one in unknown_names("${item}", params=[], item=False)] == ["${item}"]


def test_the_names_that_a_text_asks_for_can_be_told():
    assert names_in("${date - 1} $${run} ${params.region}") == {"date", "params.region"}
