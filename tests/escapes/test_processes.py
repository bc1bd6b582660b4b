"""Attacks on processes: making, harming, reading and changing them, and kernel objects that outlive them."""

from __future__ import annotations

import ctypes
import signal
import time
from pathlib import Path

from tests.escapes import machine
from tests.escapes.attack import Attack
from tests.escapes.laboratory import Laboratory
from tests.escapes.trial import (
    Trial,
    holds,
    in_another,
    secret_told,
    status_over,
    strayed,
    touched,
    zygote_gone,
)

# What is started here ends by itself, should all else fail.
_LINGER = "time.sleep(5); os._exit(0)"


def outlives_its_zygote(trial: Trial) -> bool:
    """The child goes on when the process is gone that it was forked from."""
    trial.end_zygote()
    time.sleep(0.1)
    return bool(trial.status("State")) and not trial.status("State").startswith("Z")


def left_its_session(trial: Trial) -> bool:
    """The child cannot be found any more where its zygote's processes are."""
    try:
        fields = Path(f"/proc/{trial.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[3]) == trial.pid


def keyring_grew(trial: Trial) -> bool:
    """The kernel keeps more for this user than before."""
    return trial.scene.keys_of_the_user() > trial.scene.keys_before


def segment_made(trial: Trial) -> bool:
    """A segment of shared memory is there that survives its maker; it is taken away."""
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    made = [int(row[1]) for row in rows if int(row[4]) == trial.pid]
    for segment in made:
        ctypes.CDLL(None).shmctl(segment, 0, None)
    return bool(made)


ATTACKS = [
    Attack(
        "fork",
        sign=strayed,
        held_by=("inner", "rlimits"),
        code=f"""
if os.fork() == 0:
    {_LINGER}
""",
    ),
    Attack(
        "fork by clone3",
        sign=strayed,
        held_by=("outer", "rlimits"),
        code=f"""
arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, {int(signal.SIGCHLD)})
if call("clone3", arguments, 88) == 0:
    {_LINGER}
""",
    ),
    Attack(
        "fork many times",
        sign=lambda trial: len(trial.strays) >= 10,
        held_by=("inner", "rlimits"),
        code=f"""
for _ in range(12):
    if os.fork() == 0:
        {_LINGER}
""",
    ),
    Attack(
        "spawn a program",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", f"echo > {data['drop']}/new"], {}), 0)
""",
    ),
    Attack(
        "become a program",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
os.execv("/bin/sh", ["sh", "-c", f"echo > {data['drop']}/new"])
""",
    ),
    Attack(
        "become a program by execveat",
        needs=("drop",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
words = (ctypes.c_char_p * 4)(b"sh", b"-c", f"echo > {data['drop']}/new".encode(), None)
call("execveat", -100, text("/bin/sh"), words, None, 0)
""",
    ),
    Attack(
        "start a thread",
        sign=status_over("Threads", 1),
        lingers=True,
        held_by=("outer", "rlimits"),
        code="""
sys.modules["_thread"].start_new_thread(time.sleep, (5,))
""",
    ),
    Attack(
        "make a user namespace",
        sign=in_another("user"),
        lingers=True,
        missing=machine.lacks_user_namespaces,
        held_by=("outer",),
        code="""
call("unshare", 0x10000000)
return True
""",
    ),
    Attack(
        "leave the session",
        sign=left_its_session,
        lingers=True,
        held_by=("outer",),
        code="""
call("setsid")
""",
    ),
    Attack(
        "outlive the zygote",
        sign=outlives_its_zygote,
        lingers=True,
        held_by=("inner",),
        code="""
call("prctl", 1, 0, 0, 0, 0)
""",
    ),
    Attack(
        "kill the zygote",
        sign=zygote_gone,
        held_by=("outer",),
        code="""
os.kill(os.getppid(), 9)
time.sleep(0.1)
""",
    ),
    Attack(
        "kill the whole group",
        sign=zygote_gone,
        held_by=("outer",),
        code="""
os.kill(0, 9)
""",
    ),
    Attack(
        "kill a process",
        needs=("victim",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
os.kill(data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "kill a thread",
        needs=("victim",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
call("tgkill", data["victim"]["pid"], data["victim"]["pid"], 9)
""",
    ),
    Attack(
        "queue a signal",
        needs=("victim",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
information = (ctypes.c_int * 32)(9, 0, -1)
call("rt_sigqueueinfo", data["victim"]["pid"], 9, information)
""",
    ),
    Attack(
        "signal by a process descriptor",
        needs=("victim",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
call("pidfd_send_signal", call("pidfd_open", data["victim"]["pid"], 0), 9, None, 0)
""",
    ),
    Attack(
        "let a socket send a signal",
        needs=("victim",),
        sign=touched,
        held_by=("landlock", "outer", "rlimits"),
        code="""
ours, theirs = socket.socketpair()
call("fcntl", ours.fileno(), 8, data["victim"]["pid"])
call("fcntl", ours.fileno(), 10, 9)
call("fcntl", ours.fileno(), 4, 0o20000 | os.O_NONBLOCK)
theirs.send(b"now")
""",
    ),
    Attack(
        "stop a process",
        needs=("victim",),
        sign=touched,
        held_by=("landlock", "outer"),
        code=f"""
os.kill(data["victim"]["pid"], {int(signal.SIGSTOP)})
""",
    ),
    Attack(
        "take a process's limits away",
        needs=("victim",),
        sign=touched,
        held_by=("outer", "inner"),
        code="""
call("prlimit64", data["victim"]["pid"], 7, (ctypes.c_uint64 * 2)(3, 3), None)
""",
    ),
    Attack(
        "slow a process down",
        needs=("victim",),
        sign=touched,
        held_by=("outer",),
        code="""
os.setpriority(os.PRIO_PROCESS, data["victim"]["pid"], 19)
""",
    ),
    Attack(
        "read a process's memory",
        needs=("victim",),
        sign=secret_told,
        held_by=("landlock", "outer"),
        code="""
victim, content = data["victim"], ctypes.create_string_buffer(100)
here = (ctypes.c_uint64 * 2)(ctypes.addressof(content), victim["size"])
there = (ctypes.c_uint64 * 2)(victim["address"], victim["size"])
call("process_vm_readv", victim["pid"], here, 1, there, 1, 0)
return content.value
""",
    ),
    Attack(
        "write a process's memory",
        needs=("victim",),
        sign=touched,
        held_by=("landlock", "outer"),
        code="""
victim, content = data["victim"], text("was here")
here = (ctypes.c_uint64 * 2)(ctypes.addressof(content), 8)
there = (ctypes.c_uint64 * 2)(victim["address"], 8)
call("process_vm_writev", victim["pid"], here, 1, there, 1, 0)
""",
    ),
    Attack(
        "trace a process",
        needs=("victim",),
        sign=secret_told,
        held_by=("landlock", "outer"),
        code="""
victim = data["victim"]
call("ptrace", 16, victim["pid"], 0, 0)
os.waitpid(victim["pid"], 0x40000000)
words = (ctypes.c_uint64 * (victim["size"] // 8))()
for number in range(len(words)):
    place = ctypes.addressof(words) + 8 * number
    call("ptrace", 1, victim["pid"], victim["address"] + 8 * number, place)
call("ptrace", 17, victim["pid"], 0, 0)
return bytes(words)
""",
    ),
    Attack(
        "take a process's descriptor",
        needs=("victim",),
        sign=secret_told,
        held_by=("landlock", "outer", "rlimits"),
        code="""
victim = data["victim"]
fd = call("pidfd_getfd", call("pidfd_open", victim["pid"], 0), victim["fd"], 0)
os.lseek(fd, 0, 0)
return os.read(fd, 100)
""",
    ),
    Attack(
        "keep a key in the kernel",
        needs=("keyring",),
        sign=keyring_grew,
        missing=machine.lacks_keys,
        held_by=("outer",),
        code="""
key = call("add_key", text("user"), text(f"penstock-{os.getpid()}"), text("secret"), 6, -4)
call("keyctl", 15, key, 5, 0, 0)
""",
    ),
    Attack(
        "keep memory in the kernel",
        sign=segment_made,
        missing=machine.lacks_segments,
        held_by=("outer",),
        code="""
segment = call("shmget", 0, 4096, 0o1666)
address = call("shmat", segment, None, 0)
ctypes.memmove(address, b"penstock-escape", 15)
""",
    ),
    Attack(
        "load a program into the kernel",
        sign=holds("bpf-map"),
        lingers=True,
        as_root="bpf asks for CAP_BPF on most machines",
        missing=machine.lacks_bpf,
        held_by=("privileges",),
        code="""
return call("bpf", 0, (ctypes.c_uint32 * 32)(2, 4, 8, 1), 128)
""",
    ),
    Attack(
        "handle page faults",
        sign=holds("[userfaultfd]"),
        lingers=True,
        missing=lambda: machine.lacks("userfaultfd"),
        held_by=("outer", "rlimits"),
        code="""
return call("userfaultfd", 1)
""",
    ),
    Attack(
        "measure the kernel",
        sign=holds("[perf_event]"),
        lingers=True,
        missing=machine.lacks_perf,
        held_by=("outer", "rlimits"),
        code="""
counter = (ctypes.c_uint32 * 32)(1, 128, 1)
counter[10] = 0x60
return call("perf_event_open", counter, 0, -1, -1, 0)
""",
    ),
    Attack(
        "make a kernel ring",
        sign=holds("[io_uring]"),
        lingers=True,
        missing=machine.lacks_io_uring,
        held_by=("outer", "rlimits"),
        code="""
return call("io_uring_setup", 1, ctypes.create_string_buffer(120))
""",
    ),
]


def test_it_works_with_the_lock_off(attack: Attack, unlocked: Laboratory):
    unlocked.expect_success(attack)


def test_the_lock_stops_it(attack: Attack, locked: Laboratory):
    locked.expect_stop(attack)
