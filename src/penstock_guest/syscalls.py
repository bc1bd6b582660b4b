"""System calls of the strict class, with their numbers on x86_64 and aarch64.

Source: the kernel's `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h`, as libseccomp
2.5.4 resolves them; `-` where the architecture has no such call. `tests/unit/guest/test_lock.py` compares both
columns with libseccomp.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Architecture(NamedTuple):
    """One machine type: its AUDIT_ARCH value and which column of the tables is its own."""

    name: str
    audit: int
    column: int


ARCHITECTURES = {
    "x86_64": Architecture("x86_64", 0xC000003E, 0),
    "aarch64": Architecture("aarch64", 0xC00000B7, 1),
}

# What a running script needs, measured by strace over the standard library, numpy and pyarrow, plus near relatives.
CHILD = """
    read:0:63 write:1:64 close:3:57 lseek:8:62 mmap:9:222 munmap:11:215 mprotect:10:226 mremap:25:216 madvise:28:233
    brk:12:214 futex:202:98 sched_yield:24:124 getrandom:318:278 clock_gettime:228:113 clock_getres:229:114
    clock_nanosleep:230:115 nanosleep:35:101 gettimeofday:96:169 time:201:- getpid:39:172 gettid:186:178
    getppid:110:173 getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 rt_sigaction:13:134
    rt_sigprocmask:14:135 rt_sigreturn:15:139 sigaltstack:131:132 restart_syscall:219:128 exit:60:93
    exit_group:231:94
"""

# What a zygote needs besides: to fork, to lock and to reap its children, and to receive their arenas.
ZYGOTE = """
    clone:56:220 wait4:61:260 recvmsg:47:212 prctl:157:167 prlimit64:302:261 seccomp:317:277
    close_range:436:436 dup3:292:24 set_robust_list:273:99 rseq:334:293
"""

# What Python code may stumble into: refused with EPERM so that an exception names the act. All other calls kill the
# process.
REFUSED = """
    open:2:- openat:257:56 openat2:437:437 creat:85:- access:21:- faccessat:269:48 faccessat2:439:439 stat:4:-
    lstat:6:- fstat:5:80 newfstatat:262:79 statx:332:291 statfs:137:43 fstatfs:138:44 readlink:89:-
    readlinkat:267:78 getcwd:79:17 getdents:78:- getdents64:217:61 chdir:80:49 fchdir:81:50 mkdir:83:-
    mkdirat:258:34 rmdir:84:- unlink:87:- unlinkat:263:35 rename:82:- renameat:264:38 renameat2:316:276 link:86:-
    linkat:265:37 symlink:88:- symlinkat:266:36 chmod:90:- fchmod:91:52 fchmodat:268:53 chown:92:- fchown:93:55
    lchown:94:- fchownat:260:54 truncate:76:45 ftruncate:77:46 fallocate:285:47 fsync:74:82 fdatasync:75:83
    utimensat:280:88 umask:95:166 flock:73:32 pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 sendfile:40:71
    dup:32:23 dup2:33:- fcntl:72:25 ioctl:16:29 pipe:22:- pipe2:293:59 poll:7:- ppoll:271:73 select:23:-
    pselect6:270:72 eventfd2:290:19 epoll_create1:291:20 epoll_ctl:233:21 epoll_pwait:281:22 inotify_init1:294:26
    memfd_create:319:279 timerfd_create:283:85 signalfd4:289:74 socket:41:198 socketpair:53:199 connect:42:203
    bind:49:200 listen:50:201 accept:43:202 accept4:288:242 getsockname:51:204 getpeername:52:205 setsockopt:54:208
    getsockopt:55:209 shutdown:48:210 sendto:44:206 sendmsg:46:211 recvfrom:45:207 sendmmsg:307:269
    recvmmsg:299:243 fork:57:- vfork:58:- clone3:435:435 execve:59:221 execveat:322:281 waitid:247:95 kill:62:129
    tkill:200:130 tgkill:234:131
    pidfd_open:434:434 pidfd_send_signal:424:424 pidfd_getfd:438:438 uname:63:160 sysinfo:99:179 getrusage:98:165
    times:100:153 getrlimit:97:163 setrlimit:160:164 getpriority:140:141 setpriority:141:140
    sched_getaffinity:204:123 sched_setaffinity:203:122 sched_getparam:143:121 sched_getscheduler:145:120
    setsid:112:157 setpgid:109:154 getpgid:121:155 getpgrp:111:- getsid:124:156 setuid:105:146 setgid:106:144
    setresuid:117:147 setresgid:119:149 setgroups:116:159 getgroups:115:158 alarm:37:-
"""


def numbers(table: str, architecture: Architecture) -> dict[str, int]:
    """Return name -> number for one table, without the calls that the architecture lacks."""
    columns = ((name, (x86_64, aarch64)) for name, x86_64, aarch64 in (item.split(":") for item in table.split()))
    return {name: int(column[architecture.column]) for name, column in columns if column[architecture.column] != "-"}


def this_machine() -> Architecture | None:
    """Return the architecture of this kernel, or None where Penstock has no table for it."""
    return ARCHITECTURES.get(os.uname().machine)
