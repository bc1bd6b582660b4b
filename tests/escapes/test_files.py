"""Attacks on files: read, made, changed, deleted, or met by ways that no path leads along."""

from __future__ import annotations

from tests.escapes import machine, without
from tests.escapes.attack import Attack
from tests.escapes.conftest import Laboratories
from tests.escapes.laboratory import LAYERS, Laboratory
from tests.escapes.trial import secret_told, tells, touched

# io_uring does in the kernel what the process itself may not ask for: a ring of requests instead of system calls.
RING = """
import struct
def ring():
    parameters = ctypes.create_string_buffer(120)
    fd = call("io_uring_setup", 4, parameters)
    words = struct.unpack("30I", parameters)
    sq, cq = words[10:17], words[20:26]
    queue = memory(sq[6] + 4 * 4, 3, 0x8001, fd)
    entries = libc.mmap(None, ctypes.c_size_t(4 * 64), 3, 0x8001, fd, ctypes.c_long(0x10000000))
    done = libc.mmap(None, ctypes.c_size_t(cq[5] + 4 * 2 * 16), 3, 0x8001, fd, ctypes.c_long(0x8000000))
    def submit(operation, target, address=0, length=0, offset=0, flags=0):
        entry = struct.pack("BBHiQQIIQQQQ", operation, 0, 0, target, offset, address, length, flags, 0, 0, 0, 0)
        ctypes.memmove(entries, entry, 64)
        tail = ctypes.c_uint.from_address(queue + sq[1])
        ctypes.c_uint.from_address(queue + sq[6] + 4 * (tail.value % 4)).value = 0
        tail.value += 1
        call("io_uring_enter", fd, 1, 1, 1, None, 0)
        head = ctypes.c_uint.from_address(done + cq[0])
        result = ctypes.c_int.from_address(done + cq[5] + 16 * (head.value % 8) + 8).value
        head.value += 1
        if result < 0:
            raise OSError(-result, "io_uring")
        return result
    return submit
"""

ATTACKS = [
    Attack(
        "open a file",
        needs=("canary",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
return os.read(os.open(data["canary"], os.O_RDONLY), 100)
""",
    ),
    Attack(
        "open a file by openat2",
        needs=("canary",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
return os.read(call("openat2", -100, text(data["canary"]), how, 24), 100)
""",
    ),
    Attack(
        "read a file by a kernel ring",
        needs=("canary",),
        sign=secret_told,
        missing=machine.lacks_io_uring,
        held_by=("landlock", "outer", "rlimits"),
        code=RING
        + """
submit, path, content = ring(), text(data["canary"]), ctypes.create_string_buffer(100)
fd = submit(18, -100, ctypes.addressof(path))
submit(22, fd, ctypes.addressof(content), 100)
return content.value
""",
    ),
    Attack(
        "open a file by its handle",
        needs=("canary",),
        sign=secret_told,
        as_root="open_by_handle_at asks for CAP_DAC_READ_SEARCH",
        missing=machine.lacks_reading_all,
        held_by=("privileges",),
        code="""
handle, mount = (ctypes.c_uint32 * 34)(128), ctypes.c_int()
call("name_to_handle_at", -100, text(data["canary"]), handle, ctypes.byref(mount), 0)
root = os.open("/", os.O_RDONLY) if os.stat(data["canary"]).st_dev == os.stat("/").st_dev else \\
    os.open(os.path.dirname(data["canary"]), os.O_RDONLY)
return os.read(call("open_by_handle_at", root, handle, os.O_RDONLY), 100)
""",
    ),
    Attack(
        "open a file from a new root",
        needs=("drop", "canary"),
        sign=secret_told,
        as_root="chroot asks for CAP_SYS_CHROOT",
        missing=machine.lacks_chroot,
        held_by=("privileges",),
        code="""
call("chroot", text(data["drop"]))
return open("/canary").read()
""",
    ),
    Attack(
        "list a folder",
        needs=("hidden_name",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
return os.listdir(data["hidden_name"])
""",
    ),
    Attack(
        "look at a file from outside",
        needs=("canary",),
        sign=tells(lambda scene: (scene.folder / "canary").stat().st_mtime_ns),
        held_by=("outer",),
        code="""
return os.stat(data["canary"]).st_mtime_ns
""",
    ),
    Attack(
        "make a file",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
os.open(data["drop"] + "/new", os.O_CREAT | os.O_WRONLY)
""",
    ),
    Attack(
        "append to a file",
        needs=("own_file",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
open(data["own_file"], "a").write("more")
""",
    ),
    Attack(
        "cut a file off",
        needs=("own_file",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
call("truncate", text(data["own_file"]), 1)
""",
    ),
    Attack(
        "delete a file",
        needs=("own_file",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
os.unlink(data["own_file"])
""",
    ),
    Attack(
        "rename a file",
        needs=("own_file",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
os.rename(data["own_file"], data["own_file"] + ".taken")
""",
    ),
    Attack(
        "make a symbolic link",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
os.symlink("/etc/passwd", data["drop"] + "/link")
""",
    ),
    Attack(
        "make a hard link",
        needs=("own_file",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
os.link(data["own_file"], data["own_file"] + ".second")
""",
    ),
    Attack(
        "make a folder",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
os.mkdir(data["drop"] + "/new")
""",
    ),
    Attack(
        "make a named pipe",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
call("mknodat", -100, text(data["drop"] + "/pipe"), 0o10666, 0)
""",
    ),
    Attack(
        "change permissions",
        needs=("own_file",),
        sign=touched,
        held_by=("outer",),
        code="""
os.chmod(data["own_file"], 0o4777)
""",
    ),
    Attack(
        "change times",
        needs=("own_file",),
        sign=touched,
        held_by=("outer",),
        code="""
os.utime(data["own_file"], (1, 1))
""",
    ),
    Attack(
        "set an extended attribute",
        needs=("own_file",),
        sign=touched,
        missing=machine.lacks_attributes,
        held_by=("outer",),
        code="""
os.setxattr(data["own_file"], "user.penstock", b"was here")
""",
    ),
    Attack(
        "execute a file that is only in memory",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
fd = os.memfd_create("program", 0)
os.write(fd, f"#!/bin/sh\\necho > {data['drop']}/new\\n".encode())
os.execve(fd, ["program"], {})
""",
    ),
    Attack(
        "read a file by numpy",
        needs=("canary",),
        profile="arrow",
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
import numpy
return numpy.fromfile(data["canary"], dtype="S32")[0]
""",
    ),
    Attack(
        "map a file by pyarrow",
        needs=("canary",),
        profile="arrow",
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
import pyarrow
return pyarrow.memory_map(data["canary"]).read()
""",
    ),
    Attack(
        "write a file by pyarrow",
        needs=("drop",),
        profile="arrow",
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
import pyarrow
pyarrow.OSFile(data["drop"] + "/new", "w").close()
""",
    ),
]


def test_it_works_with_the_lock_off(attack: Attack, unlocked: Laboratory):
    unlocked.expect_success(attack)


def test_the_lock_stops_it(attack: Attack, locked: Laboratory):
    locked.expect_stop(attack)


LEFT_OPEN = Attack(
    "read what an import has left open", f"return os.read({without.LEFT_OPEN_FD}, 65536)", sign=secret_told
)


def test_a_descriptor_that_is_left_open_leads_out(laboratories: Laboratories):
    laboratories(*LAYERS, "closing", "leaving_open").expect_success(LEFT_OPEN)


def test_descriptors_that_are_left_open_are_closed_though_nothing_else_is_locked(laboratories: Laboratories):
    """No filter asks where a descriptor came from: every zygote and child closes all but its channel."""
    laboratories(*LAYERS, "leaving_open").expect_stop(LEFT_OPEN)
