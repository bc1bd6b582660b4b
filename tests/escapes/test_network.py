"""Attacks on the network: listeners of this machine that must not be reached, and doors that must not be opened."""

from __future__ import annotations

import contextlib
import socket

from tests.escapes import machine
from tests.escapes.attack import Attack
from tests.escapes.laboratory import Laboratory
from tests.escapes.test_files import RING
from tests.escapes.trial import Trial, touched


def answers(trial: Trial) -> bool:
    """The lingering child listens on the port that it told."""
    with contextlib.suppress(OSError, TypeError), socket.create_connection(("127.0.0.1", trial.loot), timeout=1):
        return True
    return False


def told_the_port(trial: Trial) -> bool:
    """The port of a listener came out, that nobody told."""
    return isinstance(trial.loot, list) and trial.scene.ports[0] in trial.loot


ATTACKS = [
    Attack(
        "connect by TCP",
        needs=("tcp",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
socket.create_connection(("127.0.0.1", data["tcp"]))
""",
    ),
    Attack(
        "send with the first packet of TCP",
        needs=("tcp",),
        sign=touched,
        missing=machine.lacks_fast_open,
        held_by=("outer", "rlimits"),
        code="""
socket.socket().sendto(b"hello", socket.MSG_FASTOPEN, ("127.0.0.1", data["tcp"]))
""",
    ),
    Attack(
        "connect by several paths",
        needs=("mptcp",),
        sign=touched,
        missing=machine.lacks_mptcp,
        held_by=("outer", "rlimits"),
        code="""
socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(("127.0.0.1", data["mptcp"]))
""",
    ),
    Attack(
        "connect by a kernel ring",
        needs=("tcp",),
        sign=touched,
        missing=machine.lacks_io_uring,
        held_by=("landlock", "outer", "rlimits"),
        code=RING
        + """
submit = ring()
fd = submit(45, 2, length=0, offset=1)
port = struct.pack("<H", 2) + struct.pack(">H", data["tcp"])
address = text(port + bytes([127, 0, 0, 1]) + bytes(8))
submit(16, fd, ctypes.addressof(address), 0, 16)
""",
    ),
    Attack(
        "send a datagram",
        needs=("udp",),
        sign=touched,
        held_by=("outer", "rlimits"),
        code="""
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", ("127.0.0.1", data["udp"]))
""",
    ),
    Attack(
        "connect to a socket in the file system",
        needs=("unix",),
        sign=touched,
        held_by=("outer", "rlimits"),
        code="""
socket.socket(socket.AF_UNIX).connect(data["unix"])
""",
    ),
    Attack(
        "connect to an abstract socket",
        needs=("abstract",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
socket.socket(socket.AF_UNIX).connect("\\0" + data["abstract"])
""",
    ),
    Attack(
        "listen",
        sign=answers,
        lingers=True,
        held_by=("landlock", "outer", "rlimits"),
        code="""
data["listener"] = listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
builtins.kept = listener
return listener.getsockname()[1]
""",
    ),
    Attack(
        "ask the kernel who listens",
        needs=("secret_port",),
        sign=told_the_port,
        held_by=("outer", "rlimits"),
        code="""
import struct
diagnosis = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
question = struct.pack("BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 1 << 10) + bytes(48)
diagnosis.send(struct.pack("IHHII", 16 + len(question), 20, 0x301, 1, 0) + question)
answer, ports = diagnosis.recv(65536), []
while len(answer) >= 16:
    length, kind = struct.unpack("IH", answer[:6])
    if kind == 20:
        ports.append(struct.unpack(">H", answer[20:22])[0])
    answer = answer[length + 3 & ~3:]
return ports
""",
    ),
    Attack(
        "send a packet made by hand",
        needs=("udp",),
        sign=touched,
        as_root="raw sockets ask for CAP_NET_RAW",
        missing=machine.lacks_raw_sockets,
        held_by=("privileges",),
        code="""
import struct
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
raw.sendto(struct.pack(">HHHH", 9, data["udp"], 13, 0) + b"hello", ("127.0.0.1", 0))
""",
    ),
]


def test_it_works_with_the_lock_off(attack: Attack, unlocked: Laboratory):
    unlocked.expect_success(attack)


def test_the_lock_stops_it(attack: Attack, locked: Laboratory):
    locked.expect_stop(attack)
