"""`penstock db`: which schema a database has, and bringing it up to date."""

import contextlib
import json

import pytest
from click.testing import CliRunner

from penstock.cli.db import command
from penstock.core.errors import DatabaseUnavailable, SchemaUnknown
from penstock.database.opening import open_database
from penstock.database.versioning import schema_status
from penstock.database.versioning import upgrade as take_steps


@pytest.fixture
def penstock(tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.delenv("PENSTOCK_DATABASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(command, arguments)


def stamp(tmp_path, revision):
    with contextlib.closing(open_database(f"sqlite:///{tmp_path}/penstock.db")) as database:
        database.write(lambda tx: tx.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'"))


def test_an_empty_database_is_said_to_be_empty_and_is_upgraded(penstock, tmp_path):
    before = penstock("status")
    assert before.exit_code == 2
    assert "the database is empty" in before.stdout
    assert "run penstock db upgrade" in before.stdout
    assert list(tmp_path.iterdir()) == [], "to look is not to create"
    assert "empty -> " in penstock("upgrade").stdout
    after = penstock("status")
    assert (after.exit_code, "with this version" in after.stdout) == (0, True)
    assert "nothing to do" in penstock("upgrade").stdout


def test_as_json_both_say_the_same(penstock, tmp_path):
    expected = json.loads(penstock("status", "--json").stdout)
    assert (expected["found"], expected["current"]) == (None, False)
    taken = json.loads(penstock("upgrade", "--json").stdout)
    assert (taken["before"], taken["after"], taken["taken"]) == (None, expected["expected"], expected["missing"])
    assert taken["database"] == f"sqlite:///{tmp_path}/penstock.db"
    assert json.loads(penstock("status", "--json").stdout)["current"] is True


def test_a_database_of_a_newer_version_is_left_alone(penstock, tmp_path):
    penstock("upgrade")
    stamp(tmp_path, "9999")
    status = penstock("status")
    assert status.exit_code == 2
    assert "a newer Penstock has upgraded it" in status.stdout
    assert isinstance(penstock("upgrade").exception, SchemaUnknown)


@pytest.mark.parametrize("asked", ["status", "upgrade"])
def test_a_file_that_is_no_database_is_not_worth_another_try(penstock, tmp_path, asked):
    (tmp_path / "penstock.db").write_bytes(b"not a database at all" * 500)
    refused = penstock(asked).exception
    assert isinstance(refused, SchemaUnknown)
    assert refused.exit_code == 2
    assert "is damaged, or is not a records database" in refused.message


def test_an_older_database_takes_the_missing_steps_only(penstock, tmp_path):
    with contextlib.closing(open_database(f"sqlite:///{tmp_path}/penstock.db")) as database:
        take_steps(database, to="0001")
    assert "not yet: this version needs" in penstock("status").stdout
    taken = json.loads(penstock("upgrade", "--json").stdout)
    assert (taken["before"], taken["taken"][0]) == ("0001", "0002")
    with contextlib.closing(open_database(f"sqlite:///{tmp_path}/penstock.db")) as database:
        assert schema_status(database).missing == ()


def test_the_password_of_a_server_is_never_shown(penstock, monkeypatch, postgres):
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql+psycopg://someone:pass-word@127.0.0.1:1/x")
    unreachable = penstock("status")
    assert isinstance(unreachable.exception, DatabaseUnavailable)
    assert "pass-word" not in str(unreachable.exception) + unreachable.output
    url = postgres.url().replace("postgres:", "postgres:pass-word")
    assert "pass-word" in url
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", url)
    status = penstock("status")
    assert status.exit_code == 2
    assert "postgres:***@" in status.stdout
