"""What a version zygote can run: a tenant's script, and Penstock's own readers, writers, checks and probes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

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
    "raw": ("penstock_guest.raw", "RawLines"),
    "check": ("penstock_guest.check", "Check"),
    "footers": ("penstock_guest.footers", "Footers"),
    "probe": ("penstock_guest.probe", "Probe"),
}


def prepare(spec: dict[str, Any], source: bytes) -> Program:
    """Return the program that the service asks for, compiled; its problems tell whether it can run."""
    module, name = _PROGRAMS[spec["program"]]
    source, spec["schemas"] = _split_schemas(spec, source)
    program: Program = getattr(sys.modules[module], name)(spec, source)
    if spec["schemas"] is not None:
        program.problems = [*spec["schemas"].problems, *program.problems]
    return program


def _split_schemas(spec: dict[str, Any], source: bytes) -> tuple[bytes, Any]:
    """Return the source alone, and the schemas that lay behind it, compiled; None when there are none."""
    if "schemas_bytes" not in spec:
        return source, None
    start = len(source) - spec["schemas_bytes"]
    return source[:start], sys.modules["penstock_guest.schemas"].Schemas(orjson.loads(source[start:]))
