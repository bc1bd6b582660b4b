"""What attacks need to know of this machine: its calls, its machine code, and what its kernel lacks."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

# Name, number on x86_64, number on aarch64. Source: the kernel's syscall_64.tbl and asm-generic/unistd.h.
_CALLS: Final = """
    add_key:248:217 bpf:321:280 capget:125:90 chroot:161:51 clone3:435:435 execveat:322:281 fanotify_init:300:262
    fcntl:72:25 futimens:280:88 getpid:39:172 io_uring_enter:426:426 io_uring_setup:425:425 keyctl:250:219 kill:62:129
    memfd_create:319:279 mknodat:259:33 mprotect:10:226 msgget:68:186
    name_to_handle_at:303:264 open_by_handle_at:304:265
    openat2:437:437 perf_event_open:298:241 personality:135:92 pidfd_getfd:438:438 pidfd_open:434:434
    pidfd_send_signal:424:424 pkey_mprotect:329:288 prctl:157:167 prlimit64:302:261 process_vm_readv:310:270
    process_vm_writev:311:271 ptrace:101:117 rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 semget:64:190
    setpriority:141:140 setsid:112:157 shmat:30:196 shmget:29:194 statx:332:291 syslog:103:116 sysinfo:99:179
    tgkill:234:131 tkill:200:130 truncate:76:45 unshare:272:97 userfaultfd:323:282 write:1:64
"""
_X86_64: Final = os.uname().machine == "x86_64"
# kill(pid, signal) as a function: the number into its register, the system call, return.
KILLING_CODE: Final = "b83e0000000f05c3" if _X86_64 else "281080d2010000d4c0035fd6"
# The same by the 32-bit door of x86_64: push rbx; mov ebx, edi; mov ecx, esi; mov eax, 37; int 0x80; pop rbx; ret.
KILLING_CODE_32_BIT: Final = "5389fb89f1b825000000cd805bc3"
KEYS: Final = Path("/proc/key-users")
_ENOSYS: Final = 38
_NAMESPACE_SWITCHES: Final = {
    "kernel/unprivileged_userns_clone": "0",
    "user/max_user_namespaces": "0",
    "kernel/apparmor_restrict_unprivileged_userns": "1",
}


def numbers() -> dict[str, int]:
    """Return the system calls of this machine by name."""
    fields = (item.split(":") for item in _CALLS.split())
    return {name: int(x86_64 if _X86_64 else aarch64) for name, x86_64, aarch64 in fields}


def lacks(name: str, *arguments: Any) -> str:
    """Return a sentence when the kernel does not know a system call, or has it switched off."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(value) for value in arguments or (-1, -1, -1, -1, -1)]
    known = libc.syscall(ctypes.c_long(numbers()[name]), *words) != -1 or ctypes.get_errno() != _ENOSYS
    return "" if known else f"this kernel has no {name}"


def lacks_io_uring() -> str:
    """Rings may be switched off for all users."""
    switch = Path("/proc/sys/kernel/io_uring_disabled")
    return (
        "io_uring is switched off" if switch.exists() and switch.read_text().strip() != "0" else lacks("io_uring_setup")
    )


def lacks_mptcp() -> str:
    """A network protocol that not every kernel has."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
    except OSError as error:
        return f"no MPTCP: {error.strerror}"
    return ""


def lacks_user_namespaces() -> str:
    """Some distributions keep them from ordinary users."""
    for name, off in _NAMESPACE_SWITCHES.items():
        switch = Path("/proc/sys") / name
        if switch.exists() and switch.read_text().strip() == off:
            return f"user namespaces are switched off ({name})"
    return ""


def lacks_perf() -> str:
    """Measuring may be kept from ordinary users."""
    path = Path("/proc/sys/kernel/perf_event_paranoid")
    return "" if path.exists() and int(path.read_text()) <= 2 else "perf_event_open is kept from ordinary users"


def lacks_fast_open() -> str:
    """Whether clients may send data with the first packet."""
    path = Path("/proc/sys/net/ipv4/tcp_fastopen")
    return "" if path.exists() and int(path.read_text()) & 1 else "TCP fast open is switched off"


def lacks_x86_64() -> str:
    """Some acts are of one machine type."""
    return "" if _X86_64 else "only x86_64 has this"


def lacks_attributes() -> str:
    """Not every file system keeps extended attributes."""
    with tempfile.NamedTemporaryFile() as file:
        try:
            os.setxattr(file.name, "user.penstock", b"")
        except OSError as error:
            return f"no extended attributes in {tempfile.gettempdir()}: {error.strerror}"
    return ""


def lacks_capability(number: int, name: str) -> str:
    """A container's root may lack some of root's privileges."""
    effective = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return "" if os.geteuid() != 0 or int(effective.split()[1], 16) >> number & 1 else f"root has no {name} here"


def lacks_raw_sockets() -> str:
    """CAP_NET_RAW."""
    return lacks_capability(13, "CAP_NET_RAW")


def lacks_chroot() -> str:
    """CAP_SYS_CHROOT."""
    return lacks_capability(18, "CAP_SYS_CHROOT")


def lacks_reading_all() -> str:
    """CAP_DAC_READ_SEARCH."""
    return lacks_capability(2, "CAP_DAC_READ_SEARCH")


def lacks_bpf() -> str:
    """CAP_SYS_ADMIN or CAP_BPF."""
    return lacks("bpf") or lacks_capability(21, "CAP_SYS_ADMIN")


def lacks_keys() -> str:
    """Keys are switched off in many containers."""
    return "" if KEYS.exists() else "this kernel keeps no keys"


def lacks_segments() -> str:
    """System V shared memory is optional."""
    return "" if Path("/proc/sysvipc/shm").exists() else "this kernel has no System V shared memory"


def lacks_32_bit_gate() -> str:
    """Kernels may be built or started without the system calls of 32-bit programs."""
    if not _X86_64:
        return lacks_x86_64()
    # mov eax, 20 (getpid); int 0x80; ret
    tried = subprocess.run([sys.executable, "-c", _TRY_CODE, "b814000000cd80c3"], timeout=10, check=False)
    return "" if tried.returncode == 0 else "this kernel has no gate for 32-bit programs"


_TRY_CODE: Final = """
import ctypes, mmap, os, sys
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(bytes.fromhex(sys.argv[1]))
code = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
os._exit(code() != os.getpid())
"""


def lacks_merging() -> str:
    """Kernels may be built without the merging of equal pages."""
    return "" if Path("/sys/kernel/mm/ksm").exists() else "this kernel merges no pages"
