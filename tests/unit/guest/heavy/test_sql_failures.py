"""How DuckDB's errors are told."""

import duckdb
import pytest

from penstock_guest.heavy.sql import describe


def test_a_disk_without_room_is_told_from_a_query_that_writes_too_much():
    words = 'IO Error: Could not write file "/data/x.parquet": {}'
    told = describe(duckdb.IOException(words.format("No space left on device")))
    assert (told["code"], told["message"]) == ("disk_full", "No space left on device")
    assert describe(duckdb.IOException(words.format("File too large")))["code"] == "limit_disk"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT revenu FROM sales", 'column "revenu" not found in FROM clause; did you mean "revenue"'),
        ("SELECT s.revenu FROM sales s", 'does not have a column named "revenu"; did you mean "revenue"'),
        ("SELECT x.day FROM sales", 'table "x" not found; did you mean "sales"?'),
        ("SELECT * FROM marts.daily", 'Table with name "marts.daily" does not exist'),
        ("SELECT summ(revenue) FROM sales", 'Function with name summ does not exist; did you mean "sum"?'),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are_like_it(sql, words):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE sales (revenue DOUBLE, day DATE)")
        with pytest.raises(duckdb.Error) as caught:
            connection.execute(sql)
    told = describe(caught.value)
    assert words in told["message"]
    assert "schema" not in told["message"]
    assert "\n" not in told["message"]
