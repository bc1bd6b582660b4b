"""One attack that was carried out, and the signs by which the parent sees that it got through."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.sandbox.children import Death, Reply
from tests.escapes.scene import Scene

Sign = Callable[["Trial"], bool]


def _do_nothing() -> None:
    return


@dataclass(slots=True)
class Trial:
    """What became of an attack.

    Attributes:
        end: what the service got from the child.
        pid: of the child.
        strays: processes that the attack has left behind.
        zygote_lives: whether the version zygote still does.
        cpu_s: that the child used; 0 while it lingers.
        wall_s: until the service had an answer.
        end_zygote: ends the version zygote, as when the service does.
    """

    scene: Scene
    end: Reply | Death
    pid: int
    secrets: tuple[str, ...]
    strays: list[int] = field(default_factory=list)
    zygote_lives: Callable[[], bool] = bool
    cpu_s: float = 0.0
    wall_s: float = 0.0
    end_zygote: Callable[[], None] = _do_nothing

    @property
    def told(self) -> bytes:
        """Every byte that the child has handed out."""
        if isinstance(self.end, Death):
            return b""
        return self.end.output + self.end.dead_letters + json.dumps(self.end.message).encode()

    @property
    def loot(self) -> Any:
        """What the attack returned, None when it returned nothing."""
        if isinstance(self.end, Death) or not self.end.output:
            return None
        return json.loads(self.end.output.splitlines()[0]).get("loot")

    @property
    def code(self) -> str:
        """The code of the error that the attack ended with, empty when it ended well."""
        return self.end.code if isinstance(self.end, Death) else str(self._error.get("code", ""))

    @property
    def error_type(self) -> str:
        """The exception that the attack ended with, empty when it ended well or died."""
        return str(self._error.get("type", ""))

    @property
    def _error(self) -> dict[str, Any]:
        if isinstance(self.end, Death):
            return {}
        if self.end.dead_letters:
            return dict(json.loads(self.end.dead_letters.splitlines()[0])["error"])
        return dict(self.end.message.get("error", {}))

    def status(self, name: str) -> str:
        """Return a line of /proc/PID/status of the lingering child, empty when it is gone."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith(f"{name}:"):
                    return line.partition(":")[2].strip()
        return ""


def secret_told(trial: Trial) -> bool:
    """A secret of the parent's came out."""
    return any(secret.encode() in trial.told for secret in trial.secrets)


def touched(trial: Trial) -> bool:
    """A file, a listener or the victim is not as it was."""
    return trial.scene.touched()


def strayed(trial: Trial) -> bool:
    """A process is there that nobody asked for."""
    return bool(trial.strays)


def zygote_gone(trial: Trial) -> bool:
    """The process that all children of this version come from is no more."""
    return not trial.zygote_lives()


def tells(truth: Callable[[Scene], Any]) -> Sign:
    """It came out what is true of this machine."""
    return lambda trial: bool(trial.loot == truth(trial.scene))


def status_shows(name: str, test: Callable[[str], bool]) -> Sign:
    """The lingering child's status has a value that it must not have."""
    return lambda trial: bool(found := trial.status(name)) and test(found)


def status_over(name: str, bound: int) -> Sign:
    """A number in the lingering child's status is over a bound."""
    return status_shows(name, lambda value: int(value.split()[0]) > bound)


def holds(kind: str) -> Sign:
    """The lingering child holds a descriptor of a kind.

    Where the parent may not look, the number of the descriptor that the child returned counts.
    """

    def sign(trial: Trial) -> bool:
        try:
            return any(kind in link for link in _descriptors(trial.pid))
        except PermissionError:
            return isinstance(trial.loot, int) and trial.loot > 0
        except FileNotFoundError:
            return False

    return sign


def in_another(namespace: str) -> Sign:
    """The lingering child has left a namespace that its parent is in."""

    def sign(trial: Trial) -> bool:
        try:
            return os.readlink(f"/proc/{trial.pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")
        except PermissionError:
            return trial.loot is True
        except FileNotFoundError:
            return False

    return sign


def cpu_over(bound_s: float) -> Sign:
    """It used more processor time than allowed."""
    return lambda trial: trial.cpu_s > bound_s


def wall_over(bound_s: float) -> Sign:
    """It kept its place for longer than allowed."""
    return lambda trial: trial.wall_s > bound_s


def memory_over(bound_mib: int) -> Sign:
    """The lingering child had more in memory at once than allowed."""
    return status_over("VmHWM", bound_mib * 1024)


def _descriptors(pid: int) -> list[str]:
    folder = f"/proc/{pid}/fd"
    return [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
