"""Attacks on what is not said: the host's secrets, other processes', and what an earlier chunk has left behind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest

from penstock.sandbox.arenas import Arena
from penstock.sandbox.children import Reply
from tests.escapes import machine
from tests.escapes.attack import Attack
from tests.escapes.laboratory import Laboratory, request, script
from tests.escapes.trial import Trial, secret_told, tells


def told_the_port(trial: Trial) -> bool:
    """The port of a listener came out, that nobody told."""
    return isinstance(trial.loot, str) and f":{trial.scene.ports[0]:04X} " in trial.loot


def offers_pages(trial: Trial) -> bool:
    """The kernel may merge the lingering child's pages with equal ones of others, who can tell by the time it takes."""
    try:
        return " mg" in Path(f"/proc/{trial.pid}/smaps").read_text()
    except PermissionError:
        return bool(trial.loot == 0)
    except FileNotFoundError:
        return False


ATTACKS = [
    Attack(
        "read the environment",
        sign=secret_told,
        code="""
return dict(os.environ)
""",
    ),
    Attack(
        "read the environment as the process was started with it",
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
os.environ.clear()
return open("/proc/self/environ").read()
""",
    ),
    Attack(
        "search the stack for the environment",
        sign=secret_told,
        code="""
os.environ.clear()
place, found = ctypes.c_void_p.in_dll(libc, "program_invocation_name").value, b""
while not found.endswith(bytes(8)):
    found += ctypes.string_at(place + len(found), 1)
return found
""",
    ),
    Attack(
        "ask for the host's name",
        sign=tells(lambda _scene: os.uname().nodename),
        held_by=("outer",),
        code="""
return os.uname().nodename
""",
    ),
    Attack(
        "ask for the host's memory",
        sign=tells(lambda _scene: os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
        held_by=("outer",),
        code="""
answer = (ctypes.c_uint64 * 14)()
call("sysinfo", answer)
return answer[4]
""",
    ),
    Attack(
        "ask the channel who the service is",
        sign=tells(lambda _scene: os.getpid()),
        held_by=("outer",),
        code="""
who, size = (ctypes.c_int * 3)(), ctypes.c_int(12)
libc.getsockopt(0, 1, 17, who, ctypes.byref(size))
return who[0]
""",
    ),
    Attack(
        "read another process's memory as a file",
        needs=("victim",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
with open(f"/proc/{data['victim']['pid']}/mem", "rb", buffering=0) as file:
    file.seek(data["victim"]["address"])
    return file.read(data["victim"]["size"])
""",
    ),
    Attack(
        "read another process's environment",
        needs=("victim",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
return open(f"/proc/{data['victim']['pid']}/environ").read()
""",
    ),
    Attack(
        "read another process's command line",
        needs=("victim",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
return open(f"/proc/{data['victim']['pid']}/cmdline").read()
""",
    ),
    Attack(
        "offer memory for merging with others",
        sign=offers_pages,
        lingers=True,
        missing=machine.lacks_merging,
        held_by=("outer",),
        code="""
return libc.madvise(ctypes.c_long(memory(65536)), ctypes.c_long(65536), 12)
""",
    ),
    Attack(
        "list the processes",
        sign=lambda trial: str(os.getpid()) in (trial.loot or []),
        held_by=("landlock", "outer", "rlimits"),
        code="""
return os.listdir("/proc")
""",
    ),
    Attack(
        "read who listens",
        needs=("secret_port",),
        sign=told_the_port,
        held_by=("landlock", "outer", "rlimits"),
        code="""
return open("/proc/net/tcp").read()
""",
    ),
]


def test_it_works_with_the_lock_off(attack: Attack, unlocked: Laboratory):
    unlocked.expect_success(attack)


def test_the_lock_stops_it(attack: Attack, locked: Laboratory):
    locked.expect_stop(attack)


# A first chunk leaves `secret` somewhere; the next one looks for it everywhere in its arenas.
ARENAS = """
nest = next(frame.f_locals["self"] for frame in frames() if "Nest" in str(frame.f_locals.get("self")))
given, output = nest.input.memory, nest.output.memory
"""
SEARCH = """
import re
if "search" in data:
    return [bool(re.search(data["search"].encode(), place)) for place in (given[1000:], output)]
secret = data["secret"].encode()
"""
LEAVING = {
    "in its input": "return 1",
    "in its output": "return data['secret']",
    "in its output and dies": "output[4096:4128] = secret; ctypes.string_at(0)",
    "far behind its output": "output[900_000:900_032] = secret; return 1",
    "in the last page of its output": "output[5000:5032] = secret; return 1",
    "far behind its input": """
libc.mprotect(ctypes.c_long(nest.input._address), ctypes.c_long(nest.input.size_bytes), 3)
ctypes.memmove(nest.input._address + 2_000_000, secret, 32); return 1
""",
}


def left_behind(laboratory: Laboratory, leaving: str) -> list[bool]:
    """Whether a chunk finds in its input and in its output what the one before it has left."""
    attack = Attack("leave something behind", ARENAS + SEARCH + LEAVING[leaving], sign=bool)
    with laboratory.children(script(attack.source())) as (children, _):
        told: dict[str, Any] = {"numbers": {}, "paths": []}
        children.run(*request(told | {"padding": "-" * 2000, "secret": laboratory.secret}))
        second = children.run(*request(told | {"search": laboratory.secret}))
    assert isinstance(second, Reply), second
    found: list[bool] = orjson.loads(second.output)["loot"]
    return found


@pytest.mark.parametrize("leaving", LEAVING)
def test_what_a_chunk_leaves_is_found_where_arenas_are_not_cleaned(leaving: str, unlocked: Laboratory):
    def fill(self: Arena, data: bytes) -> None:
        self._memory[: len(data)] = data

    with mock.patch.object(Arena, "scrub", return_value=None), mock.patch.object(Arena, "fill", fill):
        assert any(left_behind(unlocked, leaving))


@pytest.mark.parametrize("leaving", LEAVING)
def test_no_chunk_finds_what_another_has_left(leaving: str, locked: Laboratory):
    assert left_behind(locked, leaving) == [False, False]


PARKED = """
import re
nest = next(frame.f_locals["self"] for frame in frames() if "Nest" in str(frame.f_locals.get("self")))
FOUND = [match.decode() for match in re.findall(rb"secret-[0-9a-f]{32}", nest.input.memory)]
"""


def test_a_parked_child_finds_no_earlier_chunk(locked: Laboratory):
    """A script's top level runs before its own chunk is there, where the one before lay."""
    source = Attack("look around while parked", "return FOUND", sign=bool).source() + PARKED.encode()
    data = {"numbers": {}, "paths": [], "padding": "-" * 2000}
    with locked.children(script(source)) as (children, _):
        children.run(*request(data | {"secret": f"secret-{locked.secret}"}))
        time.sleep(0.3)  # time enough for the next child to look around
        end = children.run(*request(data))
    assert isinstance(end, Reply), end
    assert end.output == b'{"loot":[]}\n'
