"""A zygote that has been taken over: it parses tenants' source, so the service believes it no more than a child."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from unittest import mock

import pytest

from penstock.core import limits
from penstock.core.errors import SandboxUnavailable
from penstock.sandbox.children import Children, Death, Reply
from penstock.sandbox.strict import _script_spec
from penstock.sandbox.zygotes import VersionZygote
from penstock_guest import wire
from penstock_guest.lock import NOBODY
from tests.escapes.attack import SMALL
from tests.escapes.laboratory import processes_in, request, script, settles
from tests.escapes.scene import INTERPRETER, Scene

# `python -c LIAR FD WORD MESSAGE`: says that it is ready, sends the word as its first child and the message as itself.
# Both are hexadecimal digits; `its own` is its own number.
LIAR: Final = """
import os, socket, sys, time
control = socket.socket(fileno=int(sys.argv[1]))
socket.recv_fds(control, 65536, 4)
control.send(b'{"ready": {"entry_point": "process"}}')
_, fds, _, _ = socket.recv_fds(control, 65536, 4)
os.write(fds[0], os.getpid().to_bytes(4, sys.byteorder) if sys.argv[2] == "its own" else bytes.fromhex(sys.argv[2]))
time.sleep(0.1)
if sys.argv[3]:
    control.send(bytes.fromhex(sys.argv[3]))
time.sleep(20)
"""
NONSENSE: Final = {
    "noise": b"noise",
    "half a message": bytes(20),
    "more than a message": bytes(5_000),
    "a seat that there is not": wire.END.pack(99, 0, 0, 0, 0, 0),
    "a seat before the first": wire.END.pack(-1, 0, 0, 0, 0, 0),
    "a child of which nobody asked": wire.END.pack(0, 0, 0, 0, 0, 0),
    "a status that there is not": wire.END.pack(0, 127, 0, 0, 0, 0),
    "a status below zero": wire.END.pack(0, -1, 0, 0, 0, 0),
    "time without end": wire.END.pack(0, 9, 2**63 - 1, 2**63 - 1, 2**63 - 1, 2**63 - 1),
    "time before the beginning": wire.END.pack(0, 9, -(2**63), -(2**63), 0, 0),
}


@pytest.mark.parametrize("message", NONSENSE)
def test_what_a_zygote_says_harms_only_its_own_version(message: str, monkeypatch: pytest.MonkeyPatch):
    """The service's answer has a type, and comes soon; none of its threads falls over."""
    fallen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", fallen.append)
    with (
        children_of_a_liar(word="its own", message=NONSENSE[message]) as children,
        contextlib.suppress(SandboxUnavailable),
    ):
        assert isinstance(children.run(*request({})), Reply | Death)
    assert [str(each.exc_value) for each in fallen] == []


@pytest.mark.parametrize("word", [b"noise", b"", bytes(4), b"\xff" * 4, b"9" * 64])
def test_what_a_child_says_first_harms_only_its_own_version(word: bytes):
    with children_of_a_liar(word=word.hex()) as children, contextlib.suppress(SandboxUnavailable):
        assert isinstance(children.run(*request({})), Reply | Death)


def test_the_service_does_not_kill_for_a_zygote():
    """A child's number is the kernel's to say: the service may be root, and would kill whomever it is told."""
    with contextlib.closing(Scene(NOBODY)) as scene:
        victim = scene.prepare(("victim",))["victim"]["pid"]
        with (
            children_of_a_liar(word=victim.to_bytes(4, sys.byteorder).hex()) as children,
            contextlib.suppress(SandboxUnavailable),
        ):
            children.run(*request({}))
        assert not scene.touched()


@contextlib.contextmanager
def children_of_a_liar(*, word: str, message: bytes = b"") -> Iterator[Children]:
    """Children of a process that is in the place of a version zygote."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        liar = subprocess.Popen(
            [INTERPRETER, "-I", "-S", "-c", LIAR, str(theirs.fileno()), word, message.hex()], pass_fds=[theirs.fileno()]
        )
    patience = replace(limits.ZYGOTE_START, value=1)
    spec = _script_spec(script(b"", limits=replace(SMALL, wall_s=0.2)))
    with liar, mock.patch.object(limits, "ZYGOTE_START", patience):
        children = Children(VersionZygote(ours, liar.pid, spec, b""), spec, seats=1)
        try:
            yield children
        finally:
            children.close()
            liar.kill()


SERVICE: Final = """
import sys, time
from penstock.core.scripts import ScriptVersion
from penstock.sandbox.strict import StrictSandbox
sandbox = StrictSandbox()
source = b"while True: pass\\ndef process(data): return data"
with sandbox.open_script(ScriptVersion("busy", source, "python", "std"), parallel=2):
    print(sandbox.start("std").ready()["pid"], flush=True)
    time.sleep(20)
"""


def test_nothing_outlives_a_service_that_is_killed():
    """Busy children neither: nobody would be left to end them."""
    with subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None, "asked for above"
        session = int(service.stdout.readline())
        all_there = settles(lambda: len(processes_in(session)) == 2 + 4)
        service.kill()
    assert all_there, "a base zygote, a version zygote, and four busy children"
    assert settles(lambda: processes_in(session) == set())
