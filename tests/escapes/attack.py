"""What an attack is: data. Its code, what the parent prepares for it, and the sign that it got through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.core.scripts import Language, Profile, ScriptLimits

if TYPE_CHECKING:
    from tests.escapes.trial import Trial

MIB: Final = 2**20
SMALL: Final = ScriptLimits(wall_s=40, cpu_s=5, memory_bytes=64 * MIB, output_bytes=MIB)
_NATIVE: Final = Path(__file__).with_name("native.py")


@dataclass(frozen=True, slots=True)
class Attack:
    """One attempt to reach out of a child.

    Attributes:
        name: what it tries, a verb first.
        code: the body of `act(data)`, run after `native.py`; or a whole script where the language is not Python.
        sign: says whether it got through, by what the parent sees outside the child.
        needs: what the parent prepares; each is a method of `Scene`, and an item of `data`.
        lingers: the child is looked at while it lives, after its reply.
        limits: that it tries to pass, or that are only there to end it.
        lifted: limits that are part of the lock, as they are with the lock off.
        ends_as: the code of the error that it must end with when the lock is on; empty where the sign says enough.
        held_by: layers, each of which stops it with all others left out.
        as_root: why it needs a root that keeps its privileges to work with the lock off; empty for nearly all.
        missing: says why this machine cannot do it at all, lock or not; empty when it can.
    """

    name: str
    code: str
    sign: Callable[[Trial], bool]
    needs: tuple[str, ...] = ()
    profile: Profile = "std"
    language: Language = "python"
    lingers: bool = False
    limits: ScriptLimits = SMALL
    lifted: Mapping[str, Any] = field(default_factory=dict)
    ends_as: str = ""
    held_by: tuple[str, ...] = ()
    as_root: str = ""
    missing: Callable[[], str] = str

    def __str__(self) -> str:
        return self.name.replace(" ", "_")

    def source(self) -> bytes:
        """Return the script."""
        if self.language != "python":
            return self.code.encode()
        body = "\n".join(f"    {line}" for line in self.code.strip("\n").splitlines())
        return f"{_NATIVE.read_text('utf-8')}\n\ndef act(data):\n{body}\n".encode()
