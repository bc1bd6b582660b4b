"""The live self-test: forbidden acts, each tried in a real locked child. It alone decides whether scripts may run."""

from __future__ import annotations

import os
import signal
from typing import Any, Final

from penstock.core import limits
from penstock.core.scripts import Act, SandboxReport
from penstock.sandbox.children import Children, Death
from penstock.sandbox.zygotes import BaseZygote
from penstock_guest.probe import ACTS, MEMORY_BYTES_MAX

_SPEC: Final[dict[str, Any]] = {
    "program": "probe",
    "name": "the self-test",
    "warm": False,
    "input_bytes": 4096,
    "records_bytes": 4096,
    "output_bytes": 4096,
    "wall_s": limits.CPU.value,
    "cpu_s": limits.CPU.value,
    "memory_bytes": MEMORY_BYTES_MAX,
    "reply_bytes": 4096,
}
_SEATS: Final = 4


def run(base: BaseZygote) -> SandboxReport:
    """Return what the kernel offers and what became of each act."""
    level = base.ready()
    children = Children(base.fork_version(_SPEC, b""), _SPEC, seats=_SEATS)
    try:
        acts = tuple(_try(children, name) for name in ACTS)
    finally:
        children.close()
    abi = level["landlock_abi"]
    stopped = all(act.stopped for act in acts)
    return SandboxReport(
        kernel=os.uname().release,
        machine=os.uname().machine,
        landlock_abi=abi,
        uid=level["uid"],
        level="none" if not stopped else "landlock+seccomp" if abi else "seccomp",
        acts=acts,
    )


def _try(children: Children, name: str) -> Act:
    words = ACTS[name][0]
    answer = children.run({"act": name})
    if isinstance(answer, Death):
        killed = answer.code == "forbidden_call"
        return Act(words, stopped=killed, how=f"killed ({signal.SIGSYS.name})" if killed else answer.detail)
    # A child that has just run the act could claim anything, but here the code is ours.
    return Act(words, stopped=answer.message.get("worked") is False, how=str(answer.message.get("how")))
