"""`penstock alerts test` sends from a person's machine, and says what keeps it from arriving."""

import pytest
from click.testing import CliRunner

from penstock.cli.main import cli
from penstock.core.errors import NotFound
from tests.receiving import receiver


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "penstock.yml").write_text("name: shop\nalerts: { data-team: 'json://${secret:HOOK}' }\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/sales.yml").write_text(
        "alerts: [data-team]\ntasks:\n  a: { kind: sql, sql: SELECT 1 AS one, to: marts.one }\n"
    )
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("project")
def test_a_test_arrives(monkeypatch):
    with receiver() as server:
        monkeypatch.setenv("HOOK", f"127.0.0.1:{server.server_port}/hook")
        done = CliRunner().invoke(cli, ["alerts", "test", "data-team"], catch_exceptions=False)
    assert done.output == "sent to data-team; look whether it has arrived\n"
    [taken] = server.taken
    assert taken["title"] == "shop: a test of alerts"


@pytest.mark.usefixtures("project")
def test_a_name_or_a_secret_that_is_not_there_is_said(monkeypatch):
    monkeypatch.delenv("HOOK", raising=False)
    for name, words in (("data-tem", "no alerts for 'data-tem'"), ("data-team", "the secret HOOK is not there")):
        done = CliRunner().invoke(cli, ["alerts", "test", name])
        assert isinstance(done.exception, NotFound)
        assert words in str(done.exception)
