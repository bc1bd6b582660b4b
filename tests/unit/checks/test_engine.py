"""The locked connection: one SELECT at a time, and nothing outside of its folders."""

import pytest

from penstock.checks.engine import open_engine
from penstock.checks.validating import StatementFailed


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_parquet('https://example.com/x.parquet')",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.db'",
        "INSTALL httpfs",
        "SET lock_configuration = false",
        "SET allowed_directories = ['/']",
        "CREATE TABLE t AS SELECT 1",
        "",
    ],
)
def test_everything_but_a_select_on_what_is_allowed_is_refused(sql):
    with open_engine(threads=1) as execute, pytest.raises(StatementFailed):
        execute(sql)


def test_files_of_its_folders_are_read(tmp_path):
    (tmp_path / "x.csv").write_text("a\n1\n")
    with open_engine(folders=[tmp_path], threads=1) as execute:
        assert execute(f"SELECT a FROM read_csv('{tmp_path}/x.csv')") == [(1,)]
        with pytest.raises(StatementFailed):
            execute(f"SELECT * FROM read_csv('{tmp_path}/../x.csv')")


def test_an_error_that_may_hold_values_does_not_say_them():
    with open_engine(threads=1) as execute, pytest.raises(StatementFailed) as caught:
        execute("SELECT CAST(s AS INTEGER) FROM (VALUES ('a secret')) AS t(s)")
    assert "secret" not in str(caught.value)


def test_variables_of_the_program_are_not_tables():
    secret = __import__("pyarrow").table({"a": [1]})
    assert secret.num_rows == 1
    with open_engine(threads=1) as execute, pytest.raises(StatementFailed, match="secret"):
        execute("SELECT * FROM secret")


def test_a_statement_that_takes_too_long_is_ended(monkeypatch):
    from penstock.core import limits

    monkeypatch.setattr("penstock.checks.engine.limits.CHECK_WALL", limits.Limit("check_wall", 1, "s", "soon"))
    with open_engine(threads=1) as execute, pytest.raises(StatementFailed, match="longer than 1 s"):
        execute("SELECT count(*) FROM range(100000000000) AS t(i) WHERE hash(i) % 7 = 3")
