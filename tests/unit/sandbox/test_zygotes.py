"""Zygotes start, say why when they do not, and never outlive the service."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.core.errors import SandboxUnavailable, ScriptRejected
from penstock.sandbox.strict import StrictSandbox
from penstock.sandbox.zygotes import BaseZygote, kill_child, kill_if_alive
from tests.processes import descendants_of, still_there, wait_for
from tests.trying import REACH, result_of, script_of

ROOT = Path(__file__).parents[3]
SERVICE = """
import time
from penstock.sandbox.strict import StrictSandbox
from tests.processes import descendants_of, still_there, wait_for
from tests.trying import script_of
sandbox = StrictSandbox()
with sandbox.open_script(script_of({source!r}), parallel=2):
    time.sleep(60)
"""
PROCESSES = 6  # a base zygote, a version zygote, four children


@pytest.mark.parametrize(
    "top_level", ["pass", "while True: pass", "time.sleep(99)", "os.close(0); time.sleep(99)"], ids=lambda text: text
)
def test_no_process_outlives_a_service_that_is_killed(top_level):
    """Zygotes and parked children hear of it from the kernel, whatever they are doing."""
    source = f"{REACH}\n{top_level}\ndef process(data): return data"
    with subprocess.Popen([sys.executable, "-c", SERVICE.format(source=source)], cwd=ROOT) as service:
        try:
            below = wait_for(lambda: len(found := descendants_of(service.pid)) >= PROCESSES and found)
        finally:
            service.kill()
    assert still_there(below) == []


def test_no_process_outlives_a_sandbox_that_is_closed():
    others = descendants_of(os.getpid())
    sandbox = StrictSandbox()
    result_of(sandbox, "def process(data): return data")
    below = set(descendants_of(os.getpid())) - set(others)
    sandbox.close()
    assert below
    assert still_there(below) == []


TAKEN_OVER = """
import os, sys, time
for _ in range(5):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
sys.path[:0] = [{src!r}]
from penstock_guest import boot
boot.main()
"""


def test_what_a_zygote_forked_for_itself_goes_with_it(tmp_path):
    """One that was taken over may leave processes that no kernel kills with their parent; its session tells them."""
    boot = tmp_path / "boot.py"
    boot.write_text(TAKEN_OVER.format(src=str(ROOT / "src")))
    base = BaseZygote("std", boot=boot)
    session = base.ready()["pid"]
    strays = [pid for pid in descendants_of(os.getpid()) if os.getsid(pid) == session and pid != session]
    base.close()
    assert len(strays) == 5
    assert still_there(strays) == []


def test_closing_twice_is_no_mistake():
    sandbox = StrictSandbox()
    sandbox.start("std").ready()
    sandbox.close()
    sandbox.close()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('no such luck')", "it ended without a word (no such luck)"),
        (
            'import os, sys; os.read(int(sys.argv[1]), 65536); os.write(int(sys.argv[1]), b\'{"error": "no kernel"}\')',
            "did not start: no kernel",
        ),
        (
            "import os, sys; os.read(int(sys.argv[1]), 65536); os.write(int(sys.argv[1]), b'{}')",
            "it could not lock itself",
        ),
    ],
)
def test_a_zygote_that_does_not_start_says_why(tmp_path, program, words):
    boot = tmp_path / "boot.py"
    boot.write_text(program)
    zygote = BaseZygote("std", boot=boot)
    try:
        with pytest.raises(SandboxUnavailable) as caught:
            zygote.ready()
    finally:
        zygote.close()
    assert words in caught.value.message
    assert "profile std" in caught.value.message


def test_a_profile_whose_library_is_missing_says_which(monkeypatch):
    monkeypatch.setattr("penstock.sandbox.zygotes._LIBRARIES", ("orjson", "zstandard"))
    monkeypatch.setattr("penstock.sandbox.zygotes.library_paths", list)
    zygote = BaseZygote("std")
    try:
        with pytest.raises(SandboxUnavailable, match="orjson"):
            zygote.ready()
    finally:
        zygote.close()


def test_a_script_that_is_rejected_leaves_no_process(sandbox):
    base = sandbox.start("std")
    base.ready()
    before = descendants_of(os.getpid())
    with pytest.raises(ScriptRejected), sandbox.open_script(script_of("import os"), parallel=1):
        pass
    assert still_there(descendants_of(os.getpid()) - before) == []


def test_a_process_is_killed_only_by_its_own_parents_word():
    """Its number could meanwhile belong to somebody else."""
    with subprocess.Popen(["sleep", "30"]) as stranger:
        kill_child(stranger.pid, parent=1)
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(timeout=0.2)
        kill_child(stranger.pid, parent=os.getpid())
        assert stranger.wait() == -signal.SIGKILL


def test_a_process_is_not_killed_when_its_channel_is_closed():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with ours, subprocess.Popen(["sleep", "30"]) as stranger:
        kill_if_alive(stranger.pid, ours)
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(timeout=0.2)
        stranger.kill()


def test_to_kill_what_is_gone_already_is_no_mistake():
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    kill_child(gone.pid, parent=os.getpid())
