"""What an engine is asked for in a child of the sandbox's `heavy` class, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from penstock.core import limits
from penstock.core.scripts import Act

# How an engine answers a value that JSON has no form for: a mapping with one of these and a text.
_MARKS: Final[Mapping[str, Callable[[str], Any]]] = {
    "int": int,
    "float": float,
    "decimal": Decimal,
    "time": str,
    "text": str,
}
HeavyProfile = Literal["sql", "mysql", "sqlite", "probe"]


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one attempt of an engine may use.

    Attributes:
        memory_bytes: private memory of the process; an engine spills before it reaches that.
        disk_bytes: of all files in its staging folder together, spilled ones included.
        threads: that work at the same time.
    """

    wall_s: float = limits.ENGINE_WALL.value
    cpu_s: int = limits.ENGINE_CPU.value
    memory_bytes: int = limits.ENGINE_MEMORY.value * 2**20
    disk_bytes: int = limits.ENGINE_DISK.value * 2**20
    threads: int = 2


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One attempt.

    Attributes:
        profile: what is loaded.
        ask: what the profile's program is asked for.
        reads: files that it may read, and nothing else of the machine but libraries. Links give nothing.
        writes: the one folder in which it may make files: its staging folder.
        link: a connected socket, which it may read and write: all of the network that it has. The caller closes it.
    """

    profile: HeavyProfile
    ask: Mapping[str, Any]
    reads: Sequence[str]
    writes: str
    limits: EngineLimits = field(default_factory=EngineLimits)
    link: int | None = None


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """What a child of the heavy class answered; untrusted words of a process that ran tenant code."""

    answer: Mapping[str, Any]
    landlock_abi: int
    cpu_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """How an attempt ended without an answer.

    Attributes:
        code: `sql_failed`, `limit_wall`, `limit_cpu`, `limit_memory`, `limit_disk`, `disk_full`, `limit_output`,
            `cancelled`, `crashed`, `forbidden_call`.
        line: of the query, where the engine says so.
        killed: whether the sandbox or the kernel ended it.
    """

    code: str
    message: str
    killed: bool
    cpu_s: float = 0.0
    line: int | None = None


def plain_rows(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return the rows of an engine's answer, numbers as numbers and times as text in the form of ISO 8601."""
    return [[_plain(value) for value in row] for row in rows]


def _plain(value: Any) -> Any:
    match value:
        case {"int": str(text)} | {"float": str(text)} | {"decimal": str(text)} | {"time": str(text)}:
            return _MARKS[next(iter(value))](text)
        case {"text": str(text)}:
            return text
        case list():
            return [_plain(one) for one in value]
    return value


@dataclass(slots=True)
class Stop:
    """Lets somebody else end an attempt."""

    asked: bool = field(default=False)

    def ask(self) -> None:
        """End the attempt soon."""
        self.asked = True


@dataclass(frozen=True, slots=True)
class EngineReport:
    """Whether engines can run on this machine.

    Attributes:
        acts: forbidden acts that the self-test tried; none when it could not.
        refused: why it could not, which is also why engines are refused; else empty.
    """

    acts: tuple[Act, ...]
    refused: str = ""

    @property
    def safe(self) -> bool:
        """Whether engines may run here: every act was tried, and every one was stopped."""
        return bool(self.acts) and all(act.stopped for act in self.acts)
