"""The machine that figures come from; without it they mean nothing."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

_LIBRARIES: Final = ("orjson", "pyarrow", "quickjs")


def describe() -> dict[str, str]:
    """Return what can change a figure, in words."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "CPU": f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "huge pages": f"anonymous {_chosen('enabled')}, shared memory {_chosen('shmem_enabled')}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
    }


def python() -> str:
    """Return the interpreter that zygotes run on, outside any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def stolen_s() -> float:
    """Return the time since boot in which the host ran others on this machine's cores, all cores together."""
    with open("/proc/stat") as stat:
        return int(stat.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def _cpu_model() -> str:
    with open("/proc/cpuinfo") as cpuinfo:
        lines = [line.partition(":") for line in cpuinfo]
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), platform.machine())


def _chosen(name: str) -> str:
    """Return the word in brackets of a setting of transparent huge pages."""
    path = Path("/sys/kernel/mm/transparent_hugepage") / name
    return path.read_text().partition("[")[2].partition("]")[0] if path.exists() else "unknown"
