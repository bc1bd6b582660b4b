"""A records database whose disk has no room."""

import re

import pytest

from penstock.core.errors import DatabaseUnavailable


def test_a_full_database_names_its_folder_what_is_free_there_and_what_to_do(fresh_database):
    database = fresh_database("sqlite")

    def fill(tx):
        tx.exec_driver_sql("CREATE TABLE filled (bytes BLOB)")
        tx.exec_driver_sql("PRAGMA max_page_count = 1")  # no more than there are
        tx.exec_driver_sql("INSERT INTO filled VALUES (zeroblob(10000000))")

    with pytest.raises(DatabaseUnavailable, match=re.escape(f"disk is full in {database.path.parent}, where ")) as full:
        database.write(fill)
    assert "penstock resume last" in full.value.hint
