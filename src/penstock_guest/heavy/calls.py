"""System calls of the heavy class, with their numbers on x86_64 and aarch64: the strict class's, and these.

Measured by strace over DuckDB 2.0 (scans, sorts that spill, partitioned writes, time zones), plus near relatives.
Source: as in `penstock_guest/syscalls.py`.
"""

from __future__ import annotations

from penstock_guest.syscalls import CHILD, REFUSED, ZYGOTE, Architecture, numbers

# Files, which Landlock bounds to what the attempt reads and writes, and threads. Left out on purpose: what removes,
# renames or links files, so that whoever counts the staging folder sees all of it; `fallocate`, which takes a disk in
# one call; locks of files, each of which is memory of the kernel's; `fcntl`, by which one process signals another; and
# what changes a file's times, modes or owner, of which Landlock takes no notice.
ENGINE = """
    open:2:- openat:257:56 access:21:- faccessat:269:48 faccessat2:439:439 stat:4:- lstat:6:- fstat:5:80
    newfstatat:262:79 statx:332:291 statfs:137:43 fstatfs:138:44 readlink:89:- readlinkat:267:78 getcwd:79:17
    getdents:78:- getdents64:217:61 mkdir:83:- mkdirat:258:34 ftruncate:77:46 fsync:74:82 fdatasync:75:83
    pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 preadv:295:69 pwritev:296:70 fadvise64:221:223
    uname:63:160 sysinfo:99:179 getrusage:98:165 times:100:153 getrlimit:97:163 sched_getaffinity:204:123
    sched_getparam:143:121 sched_getscheduler:145:120 getcpu:309:168 clone:56:220 prlimit64:302:261
    set_robust_list:273:99 rseq:334:293 tgkill:234:131
"""


def allowed(architecture: Architecture) -> dict[str, int]:
    """Return what an engine may call."""
    return numbers(CHILD, architecture) | numbers(ENGINE, architecture)


def refused(architecture: Architecture) -> dict[str, int]:
    """Return what raises an error where it is called; everything that is in no table kills."""
    others = numbers(REFUSED, architecture) | numbers(ZYGOTE, architecture)
    return {name: number for name, number in others.items() if name not in allowed(architecture)}
