"""The attack example: a demonstration only proves something if the thief gets its loot where nothing is locked."""

import socket
from pathlib import Path
from types import ModuleType

import pytest

STEAL = Path(__file__).parents[3] / "examples" / "attack" / "steal.py"


@pytest.fixture
def thief():
    module = ModuleType("steal")
    exec(STEAL.read_text(), vars(module))  # as a child does, only without its lock
    return module


def test_without_a_sandbox_everything_is_stolen(thief, tmp_path, monkeypatch):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_text("a key")
    monkeypatch.setenv("HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thief.HOME = listener.getsockname()
        record = thief.process({"Description": " LANTERN ", "Quantity": 6})
    loot = record.pop("_note")
    assert record == {"Description": "LANTERN", "Quantity": 6}
    assert loot["private_keys"] == {"id_ed25519": "a key"}
    assert "root:" in loot["users"]
    assert loot["call_home"] == "connected from 127.0.0.1"
    assert "uid=" in loot["run_program"]


def test_nothing_is_said_about_what_fails(thief):
    def fail():
        raise SystemExit

    assert thief.taken(fail) is None
