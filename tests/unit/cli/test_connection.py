"""Where commands find their server and their key, and what somebody is told who has none."""

import json

import pytest
from click.testing import CliRunner

from penstock.cli.connection import Credentials, keep_credentials, login_command, open_client, read_credentials
from penstock.cli.logout import command as logout
from penstock.core.errors import NotLoggedIn


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("PENSTOCK_URL", "PENSTOCK_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def hint(act=read_credentials):
    with pytest.raises(NotLoggedIn) as refused:
        act()
    return refused.value.hint


def test_who_is_not_logged_in_is_told_how_and_where_a_token_comes_from(monkeypatch):
    assert hint().startswith("Run: penstock login --token TOKEN")
    assert "penstock members token" in hint()
    monkeypatch.setenv("PENSTOCK_URL", "https://penstock.example.com")
    assert "penstock login --url https://penstock.example.com --token TOKEN" in hint()


def test_a_key_without_a_server_is_told_what_is_missing(monkeypatch):
    monkeypatch.setenv("PENSTOCK_API_KEY", "pk_1_x")
    assert "PENSTOCK_URL" in hint()


def test_a_key_that_has_ended_is_told_with_its_own_server():
    keep_credentials(Credentials("http://127.0.0.1:9000", "pk_1_x"))

    def ended():
        with open_client():
            raise NotLoggedIn("the API key has expired", hint="whatever a server says")

    assert "penstock login --url http://127.0.0.1:9000 --token TOKEN" in hint(ended)


def test_a_key_of_the_environment_is_not_replaced_by_a_login(monkeypatch):
    monkeypatch.setenv("PENSTOCK_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("PENSTOCK_API_KEY", "pk_1_x")

    def ended():
        with open_client():
            raise NotLoggedIn("the API key has expired", hint="whatever a server says")

    assert "PENSTOCK_API_KEY" in hint(ended)


def test_the_usual_server_needs_no_url():
    assert login_command("http://127.0.0.1:8400", "pt_1") == "penstock login --token pt_1"


def test_a_logout_says_as_json_what_became_of_the_key(folder):
    nobody = json.loads(CliRunner().invoke(logout, ["--json"]).stdout)
    assert (nobody["removed"], nobody["ended"]) == (False, False)
    path = keep_credentials(Credentials("http://127.0.0.1:1", "pk_1_x"))
    unreachable = json.loads(CliRunner().invoke(logout, ["--json"]).stdout)
    assert (unreachable["removed"], unreachable["ended"]) == (True, False)
    assert "cannot be reached" in unreachable["problem"]
    assert not path.exists()
