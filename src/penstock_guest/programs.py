"""What a version zygote can run: a tenant's script, and Penstock's own readers, writers, checks and probes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from penstock_guest.child import Output


class Program(Protocol):
    """Prepared in the zygote, run in its children."""

    problems: list[dict[str, Any]]

    def rehearse(self) -> None:
        """Make this code warm in the zygote: what the interpreter adapts while it runs, a child would have to copy."""

    def park(self, output: Output) -> None:
        """Do in a parked child what can be done before there is a request."""

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Do one request and return the reply."""


# Program -> module and class. The profile has loaded the module, or the program is not for that profile.
_PROGRAMS: Final = {
    "python": ("penstock_guest.python_script", "PythonScript"),
    "javascript": ("penstock_guest.javascript", "JavaScript"),
    "read": ("penstock_guest.transport", "Reader"),
    "write": ("penstock_guest.transport", "Writer"),
    "check": ("penstock_guest.check", "Check"),
    "probe": ("penstock_guest.probe", "Probe"),
}


def prepare(spec: dict[str, Any], source: bytes) -> Program:
    """Return the program that the service asks for, compiled; its problems tell whether it can run."""
    module, name = _PROGRAMS[spec["program"]]
    program: Program = getattr(sys.modules[module], name)(spec, source)
    return program
