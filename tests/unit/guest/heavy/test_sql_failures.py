"""How DuckDB's errors are told."""

import duckdb

from penstock_guest.heavy.sql import describe


def test_a_disk_without_room_is_told_from_a_query_that_writes_too_much():
    words = 'IO Error: Could not write file "/data/x.parquet": {}'
    told = describe(duckdb.IOException(words.format("No space left on device")))
    assert (told["code"], told["message"]) == ("disk_full", "No space left on device")
    assert describe(duckdb.IOException(words.format("File too large")))["code"] == "limit_disk"
