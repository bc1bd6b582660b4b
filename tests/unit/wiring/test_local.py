"""What a project's folder keeps, opened by the version at hand."""

import contextlib
import sqlite3

import pytest

from penstock.core.errors import SchemaUnknown
from penstock.wiring.local import FOLDER, open_local


def test_a_folder_of_an_older_version_says_how_its_own_database_is_upgraded(tmp_path):
    folder = tmp_path / "my shop"
    with open_local(folder):
        pass
    with contextlib.closing(sqlite3.connect(folder / FOLDER / "penstock.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(SchemaUnknown) as refused, open_local(folder):
        pass
    assert refused.value.hint == f"Run: PENSTOCK_HOME='{folder / FOLDER}' penstock db upgrade"
