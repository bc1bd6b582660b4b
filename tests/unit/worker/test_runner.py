"""A runner on its end of the channel: it says that it lives, that it is ready, and how attempts end."""

import dataclasses
import socket
import threading
import time

import pytest

from penstock.core.errors import SandboxUnavailable
from penstock.core.scripts import SandboxReport
from penstock.worker import messages
from penstock.worker.runner import Runner
from tests.unit.worker.twins import MESSAGE, SCRIPT, PatientSandbox, TwinParts, TwinWork


class Scene:
    """A runner in a thread, and the supervisor's end of its channel."""

    def __init__(self, parts=None):
        self.parts = parts or TwinParts()
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(5)
        self.frames = messages.Frames()
        self.heard: list[messages.Frame] = []
        self.theirs = theirs
        self.work = TwinWork()
        self.thread = threading.Thread(target=Runner(theirs, self.parts, threads=1).serve, daemon=True)
        self.thread.start()

    def hear(self, *, alive=False):
        """The next frame; only when asked for one of those that say no more than that it lives."""
        while not self.heard:
            frames = self.frames.feed(self.channel.recv(2**16))
            self.heard += [frame for frame in frames if alive or frame[0]["say"] != "alive"]
        return self.heard.pop(0)

    def give(self, content, *, part="whole", message=None):
        """Send an attempt, whose lease has run out, and return that."""
        self.work.add(content, part=part, message=message)
        assignment = self.work.waiting.popleft()
        self.channel.sendall(messages.script_frame(assignment, SCRIPT) + messages.run_frame(assignment))
        return assignment.lease

    def close(self):
        """Go away, as a supervisor that was killed."""
        self.parts.script.going.set()
        self.channel.close()
        self.thread.join(5)
        assert not self.thread.is_alive()
        self.theirs.close()


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.close()


def test_it_says_first_what_its_sandbox_reaches(scene):
    assert scene.hear() == ({"say": "ready", "level": "landlock+seccomp", "error": None}, b"")


def test_it_says_that_it_lives_while_nothing_else_is_to_be_said(scene):
    scene.hear()
    assert scene.hear(alive=True)[0] == {"say": "alive", "late": {}, "done": []}


def test_it_tells_with_that_what_was_used_after_an_attempt_had_ended(scene):
    scene.hear()
    scene.parts.late = {"ws_1": 0.5}
    told = [scene.hear(alive=True)[0]["late"] for _ in range(3)]
    assert [late for late in told if late] == [{"ws_1": 0.5}]


def test_it_says_that_it_lives_though_its_supervisor_speaks_all_the_time(scene):
    scene.hear()
    over = threading.Event()

    def speak():
        while not over.wait(0.1):
            scene.channel.sendall(messages.held_frame([]))

    speaking = threading.Thread(target=speak)
    speaking.start()
    try:
        assert [scene.hear(alive=True)[0]["say"] for _ in range(3)] == ["alive"] * 3
    finally:
        over.set()
        speaking.join()


def test_an_attempt_ends_with_its_report(scene):
    scene.hear()
    lease = scene.give(b"a")
    header, tail = scene.hear()
    report = messages.read_report(header, tail)
    assert (header["id"], header["token"], report.outcome) == (lease.entry.id, lease.token, "succeeded")
    assert list(report.small.values()) == [b"a\n"]


def test_a_part_that_it_does_not_know_is_a_bug_of_that_attempt_alone(scene):
    scene.hear()
    scene.give(b"a", part="unknown")
    assert scene.hear()[0]["error"]["code"] == "bug"
    scene.give(b"a")
    assert scene.hear()[0]["outcome"] == "succeeded"


def test_one_that_waits_is_stopped_before_it_begins(scene):
    scene.hear()
    scene.give(b"wait")
    waiting = scene.give(b"a")
    scene.channel.sendall(messages.stop_frame(waiting))
    assert scene.parts.script.begun.acquire(timeout=5)
    threading.Timer(0.05, scene.parts.script.going.set).start()
    outcomes = [header["outcome"] for header, _ in (scene.hear(), scene.hear())]
    assert outcomes == ["succeeded", "cancelled"]


def test_nothing_is_sent_by_a_lease_that_nobody_says_to_hold(scene):
    scene.hear()
    scene.give(b"", part="webhook", message=MESSAGE)
    header, _ = scene.hear()
    assert (header["outcome"], header["error"]["code"]) == ("transient", "lease_expired")
    assert scene.parts.egress.sent == []


def test_what_waits_to_send_goes_on_when_its_lease_is_said_to_hold(scene):
    scene.hear()
    scene.give(b"wait")
    assert scene.parts.script.begun.acquire(timeout=5)
    lasting = [dataclasses.replace(scene.give(b"", part="webhook", message=MESSAGE), expires_at=time.time() + 600)]
    scene.channel.sendall(messages.held_frame(lasting))
    scene.parts.script.going.set()
    headers = [scene.hear()[0] for _ in range(2)]
    assert [header["outcome"] for header in headers] == ["succeeded", "succeeded"]
    assert scene.parts.egress.sent == [MESSAGE.url]


def test_what_a_cancelled_attempt_has_made_is_dropped():
    class Late(PatientSandbox):
        def stop(self):
            """Come after the script has ended."""

    class Parts(TwinParts):
        def sandbox(self, _workspace):
            return Late(self.script)

    scene = Scene(Parts())
    scene.hear()
    lease = scene.give(b"wait" + b"x" * 20_000)
    assert scene.parts.script.begun.acquire(timeout=5)
    scene.channel.sendall(messages.stop_frame(lease))
    threading.Timer(0.2, scene.parts.script.going.set).start()
    header, _ = scene.hear()
    assert (header["outcome"], header["output"]) == ("cancelled", None)
    assert list(scene.parts.blobs.list("")) == []
    scene.close()


@pytest.mark.parametrize("safe", [True, False])
def test_without_a_sandbox_it_takes_no_work(safe):
    class Parts(TwinParts):
        def report(self):
            if safe:
                raise SandboxUnavailable("no zygote", hint="Wait.")
            return SandboxReport("6.1", "x86_64", 0, 0, "none", ())

    scene = Scene(Parts())
    header, _ = scene.hear()
    assert (header["level"], bool(header["error"])) == ("none", safe)
    scene.close()


def test_it_ends_when_its_supervisor_is_gone(scene):
    scene.hear()
    scene.channel.shutdown(socket.SHUT_RDWR)
    scene.thread.join(5)
    assert not scene.thread.is_alive()
