"""`penstock up` and `penstock api` look at their port before they say or make anything."""

import socket

import pytest
from click.testing import CliRunner

from penstock.cli import api, up
from penstock.core.errors import SettingInvalid
from penstock.wiring.settings import read_settings


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name in ("PENSTOCK_HOST", "PENSTOCK_PORT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)  # what the command sets is taken back after the test
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    return lambda *words: CliRunner().invoke(up.command, words)


def test_a_port_that_is_taken_is_told_before_a_token_is_made(run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        refused = run("--port", str(other.getsockname()[1]))
    assert isinstance(refused.exception, SettingInvalid)
    assert "--port" in refused.exception.hint
    assert refused.output == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_blamed_on_the_host(host):
    with pytest.raises(SettingInvalid) as refused:
        api.listen(host, 0)
    assert "--host" in refused.value.hint
    assert "--port" not in refused.value.hint


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1")],
)
def test_what_listens_everywhere_is_reached_here(host, url):
    assert read_settings({"PENSTOCK_HOST": host, "PENSTOCK_PORT": "1"}).url == url
