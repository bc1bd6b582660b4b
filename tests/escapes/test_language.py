"""Attacks by the means of the language: what its objects, frames and serialisers can reach past a guarded import."""

from __future__ import annotations

from penstock.core.scripts import Tier
from tests.escapes.attack import Attack
from tests.escapes.laboratory import Laboratory, request, script
from tests.escapes.trial import secret_told, touched

ATTACKS = [
    Attack(
        "import by the real builtins",
        needs=("canary",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
posix = print.__self__.__import__("posix")
return posix.read(posix.open(data["canary"], 0), 100)
""",
    ),
    Attack(
        "walk the subclasses to os.system",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
wrap = next(c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "_wrap_close")
wrap.__init__.__globals__["system"](f"echo > {data['drop']}/new")
""",
    ),
    Attack(
        "load a module by the importer",
        needs=("canary",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
importer = next(c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "BuiltinImporter")
posix = importer.load_module("posix")
return posix.read(posix.open(data["canary"], 0), 100)
""",
    ),
    Attack(
        "import from a folder",
        needs=("module",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
sys.path.append(data["module"])
return builtins.__import__("canary_module").SECRET
""",
    ),
    Attack(
        "walk the frames of a generator",
        needs=("canary",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
def walk():
    frame = generator.gi_frame.f_back
    while "DESCRIPTORS_MAX" not in frame.f_globals:
        frame = frame.f_back
    yield frame.f_globals["os"]
generator = walk()
stolen = next(generator)
return stolen.read(stolen.open(data["canary"], 0), 100)
""",
    ),
    Attack(
        "walk the frames of a traceback",
        needs=("canary",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
try:
    raise ValueError
except ValueError as error:
    frame = error.__traceback__.tb_frame
while frame.f_back is not None:
    frame = frame.f_back
opened = frame.f_builtins["open"]
return opened(data["canary"]).read()
""",
    ),
    Attack(
        "walk by str.format",
        sign=secret_told,
        code="""
return "{0.codecs.sys.modules[os].environ}".format(json)
""",
    ),
    Attack(
        "search the heap for a class",
        needs=("tcp",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
heap = sys.modules["gc"].get_objects() + object.__subclasses__()
socket = next(o for o in heap if isinstance(o, type) and o.__module__ == "_socket" and o.__name__ == "socket")
socket(2, 1).connect(("127.0.0.1", data["tcp"]))
""",
    ),
    Attack(
        "fork and execute below every audit hook",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
below = load("_posixsubprocess")
below.fork_exec([b"sh", b"-c", b"echo > " + data["drop"].encode() + b"/new"], [b"/bin/sh"], False, (), None, None,
                -1, -1, -1, -1, -1, -1, 0, -1, False, False, -1, None, None, None, -1, None, False)
time.sleep(0.3)
""",
    ),
    Attack(
        "act while the exception is described",
        needs=("canary",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
class Talkative(Exception):
    def __str__(self):
        return open(data["canary"]).read()
raise Talkative
""",
    ),
    Attack(
        "act while the result is serialised",
        needs=("canary",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
from decimal import Decimal
class Talkative(Decimal):
    def __str__(self):
        return open(data["canary"]).read()
return Talkative(1)
""",
    ),
    Attack(
        "unpickle a call",
        needs=("drop",),
        profile="arrow",
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
pickled = f"cposix\\nsystem\\n(S'echo > {data['drop']}/new'\\ntR."
sys.modules["_pickle"].loads(pickled.encode())
""",
    ),
]


def test_it_works_with_the_lock_off(attack: Attack, unlocked: Laboratory):
    unlocked.expect_success(attack)


def test_the_lock_stops_it(attack: Attack, locked: Laboratory):
    locked.expect_stop(attack)


POISON = b"""
import json
def process(data):
    json.JSONDecodeError.kept, before = data["secret"], getattr(json.JSONDecodeError, "kept", "nothing")
    return {"before": before}
"""


def told_by_the_second_chunk(laboratory: Laboratory, *, tier: Tier) -> bytes:
    """What a script that poisons a module in one chunk finds there in the next."""
    with laboratory.children(script(POISON, tier=tier)) as (children, _):
        children.run(*request({"secret": laboratory.secret}))
        second = children.run(*request({"secret": "none"}))
    return getattr(second, "output", b"")


def test_a_poisoned_module_lives_on_in_a_warm_child(unlocked: Laboratory):
    """What single use is for; the tier `warm` is for one workspace's one script version, and says so."""
    assert unlocked.secret.encode() in told_by_the_second_chunk(unlocked, tier="warm")


def test_a_poisoned_module_is_gone_with_its_child(locked: Laboratory):
    assert b"nothing" in told_by_the_second_chunk(locked, tier="isolated")
