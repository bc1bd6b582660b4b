"""Tables in words."""

import click

from penstock.cli.table_texts import csv_text, is_cut, lineage_lines, row_lines

COLUMNS = [{"name": "shop", "type": "VARCHAR"}, {"name": "orders", "type": "BIGINT"}]


def snapshot(table, number, *upstream, **more):
    return {
        "table": table,
        "snapshot": str(number),
        "run": "run_1",
        "project": "shop",
        "task": "daily",
        "version": None,
        "mode": "append",
        "rows": 3,
        "expired": False,
        "at": "2026-01-31T02:00:00.000Z",
        "published_at": "2026-01-31T02:00:01.000Z",
        "upstream": list(upstream),
        **more,
    }


def test_a_snapshot_stands_above_those_it_was_made_from():
    clean = snapshot("staging.orders", 2, snapshot("raw.orders", 1), version="1.2.0")
    tree = snapshot("marts.daily", 4, clean, snapshot("raw.shops", 3, expired=True), mode="replace_table")
    assert [click.unstyle(line) for line in lineage_lines(tree)] == [
        "marts.daily@4  shop/daily, run_1, 2026-01-31T02:00:00Z: replaced all, 3 rows",
        "├── staging.orders@2  shop/daily (1.2.0), run_1, 2026-01-31T02:00:00Z: added, 3 rows",
        "│   └── raw.orders@1  shop/daily, run_1, 2026-01-31T02:00:00Z: added, 3 rows",
        "└── raw.shops@3  shop/daily, run_1, 2026-01-31T02:00:00Z: added, 3 rows, expired",
    ]


def test_a_snapshot_that_stands_in_the_tree_before_is_not_unfolded_again():
    raw = snapshot("raw.orders", 1)
    tree = snapshot("marts.daily", 4, snapshot("staging.a", 2, raw), {**raw, "repeated": True, "upstream": []})
    lines = [click.unstyle(line) for line in lineage_lines(tree)]
    assert [line.endswith("(see above)") for line in lines] == [False, False, False, True]


def test_rows_stand_below_their_names_and_numbers_on_the_right():
    lines = [click.unstyle(line) for line in row_lines(COLUMNS, [["a\x1bb", 12], [None, 1234]])]
    assert lines == ["shop  orders", "a\N{REPLACEMENT CHARACTER}b       12", "-       1234"]
    assert [click.unstyle(line) for line in row_lines(COLUMNS, [])] == ["shop  orders"]


def test_letters_of_two_places_do_not_shift_what_stands_beside_them():
    lines = [click.unstyle(line) for line in row_lines(COLUMNS, [["漢字", 1], ["Zoe\u0308", 2]])]
    assert lines == ["shop  orders", "漢字       1", "Zoe\u0308        2"]


def test_few_columns_have_room_for_an_error_and_what_is_cut_is_said():
    error = "script_error: ValueError: invalid literal for int() with base 10: 'many' at line 10"
    pair = [{"name": "error", "type": "VARCHAR"}, {"name": "record", "type": "VARCHAR"}]
    assert error in list(row_lines(pair, [[error, "{}"]]))[1]
    assert not is_cut(pair, [[error, None]])
    six, long = pair * 3, [[error] * 6]
    assert is_cut(six, long)
    assert f"{error[:45]}..." in list(row_lines(six, long))[1]


def test_csv_has_quotes_where_they_are_needed_and_json_for_what_is_nested():
    assert csv_text(COLUMNS, [['a,"b', None], [{"x": [1]}, True]]) == 'shop,orders\n"a,""b",\n"{""x"":[1]}",true\n'
