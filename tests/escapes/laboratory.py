"""Where attacks are carried out: on the product's own path, with all of the lock or with layers of it left out."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

import orjson

from penstock.core import limits as core
from penstock.core.errors import SandboxUnavailable
from penstock.core.scripts import Chunk, Language, Profile, ScriptLimits, ScriptVersion, Tier
from penstock.sandbox.children import Children, Death, Reply, Seat
from penstock.sandbox.strict import StrictScriptRunner, _script_spec
from penstock.sandbox.zygotes import BOOT, BaseZygote, VersionZygote, kill_if_alive
from penstock_guest import wire
from tests.escapes import without
from tests.escapes.attack import SMALL, Attack
from tests.escapes.scene import Scene
from tests.escapes.trial import Trial

ROOT: Final = Path(__file__).parents[2]
# Every layer; `environment` is left out by the parent, the others by a boot that calls `without`.
LAYERS: Final = ("landlock", "outer", "inner", "rlimits", "mdwe", "hiding", "no_new_privileges", "environment")
_SETTLING_S: Final = 0.01
_SHOWING_S: Final = 20.0
_PATIENCE_S: Final = 2
# An attack that stumbles over its own feet has not been stopped by anybody.
_BLUNDERS: Final = ["NameError", "TypeError", "AttributeError", "KeyError", "IndexError", "SyntaxError", "ImportError"]
_BOOT: Final = """\
import sys
sys.path[:0] = {paths!r}
from tests.escapes import without
{calls}
from penstock_guest import boot
boot.main()
"""


class Laboratory:
    """Carries out attacks at one state of the lock.

    Args:
        left_out: the layers that are not there; none of them, and the boot is the product's own.
        uid: that children run as.
    """

    def __init__(self, left_out: frozenset[str], *, uid: int) -> None:
        self.left_out = left_out
        self.uid = os.geteuid() if "privileges" in left_out else uid
        self.secret = secrets.token_hex(16)
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-boot-")
        self._bases: dict[str, BaseZygote] = {}
        self.boot = self._write_boot() if left_out - {"environment"} else BOOT

    def expect_success(self, attack: Attack) -> None:
        """Show that the attack is one: without the lock it gets through."""
        with self.attempt(attack, lifted=True) as trial:
            through = settles(lambda: attack.sign(trial), within_s=_SHOWING_S)
            assert through, f"{attack.name} does nothing with the lock off: {trial.end}"

    def expect_stop(self, attack: Attack) -> None:
        """Show that the attack does not get through."""
        with self.attempt(attack) as trial:
            time.sleep(_SETTLING_S)
            assert not attack.sign(trial), f"{attack.name} got through: {trial.end}"
            assert trial.error_type not in _BLUNDERS, f"{attack.name} was not stopped, it failed: {trial.end}"
            assert attack.ends_as in ("", trial.code), f"{attack.name} ended as {trial.code}: {trial.end}"

    @contextlib.contextmanager
    def attempt(self, attack: Attack, *, lifted: bool = False) -> Iterator[Trial]:
        """Carry out an attack, and clear up after it."""
        limits = replace(attack.limits, **attack.lifted) if lifted else attack.limits
        tier: Tier = "warm" if attack.lingers else "isolated"
        version = script(attack.source(), limits=limits, tier=tier, language=attack.language, profile=attack.profile)
        patience = replace(core.ZYGOTE_START, value=_PATIENCE_S)  # with the lock off, zygotes do get killed
        self.base(attack.profile)  # a busy machine may take longer than that for its imports
        with contextlib.closing(Scene(self.uid)) as scene, mock.patch.object(core, "ZYGOTE_START", patience):
            data = scene.prepare(attack.needs)
            with self.children(version) as (children, zygote):
                yield self._carry_out(attack, scene, data, children, zygote)

    @contextlib.contextmanager
    def children(self, version: ScriptVersion, *, seats: int = 1) -> Iterator[tuple[Children, VersionZygote]]:
        """Park children of a script, and end whatever is left of them."""
        spec = _script_spec(version)
        base = self.base(version.profile)
        zygote = base.fork_version(spec, version.source)
        children = Children(zygote, spec, seats=seats)
        try:
            yield children, zygote
        finally:
            children.close()
            for pid in processes_of(base) - {base._process.pid}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)

    def base(self, profile: str) -> BaseZygote:
        """Return the base zygote of a profile; a new one when an attack has ended it."""
        if profile in self._bases and self._bases[profile]._process.poll() is not None:
            self._bases.pop(profile).close()
        if profile not in self._bases:
            with self._environment():
                base = BaseZygote(profile, boot=self.boot)
            base.ready()
            self._bases[profile] = base
        return self._bases[profile]

    def close(self) -> None:
        """End all zygotes."""
        for base in self._bases.values():
            base.close()
        self._folder.cleanup()

    def _carry_out(
        self, attack: Attack, scene: Scene, data: dict[str, Any], children: Children, zygote: VersionZygote
    ) -> Trial:
        base = self.base(attack.profile)
        known = processes_of(base)
        seat = children.take()
        assert seat.pid is not None, "a seat taken has a child"
        started_s = time.monotonic()
        end = _ask(children, seat, data)
        trial = Trial(scene, end, seat.pid, (scene.secret, self.secret), wall_s=time.monotonic() - started_s)
        if not attack.lingers:
            self._account(trial, children, seat)
        trial.strays = sorted(processes_of(base) - known - {seat.pid})
        trial.zygote_lives = lambda: zygote.pid in processes_of(base)
        trial.end_zygote = lambda: kill_if_alive(zygote.pid, zygote.channel)
        return trial

    def _account(self, trial: Trial, children: Children, seat: Seat) -> None:
        """Wait for the end of an isolated child, and note what it has used."""
        children.await_end(seat, timeout_s=5)
        if seat.end is not None:
            trial.cpu_s = seat.end["cpu_s"]

    def _environment(self) -> contextlib.AbstractContextManager[object]:
        if "environment" in self.left_out:
            return mock.patch.dict(wire.ENVIRONMENT, {"PENSTOCK_SECRET": self.secret})
        return mock.patch.dict(os.environ, {"PENSTOCK_SECRET": self.secret})

    def _write_boot(self) -> Path:
        calls = "\n".join(f"without.{layer}()" for layer in sorted(self.left_out - {"environment"}))
        boot = Path(self._folder.name) / "boot.py"
        boot.write_text(_BOOT.format(paths=[str(ROOT), str(ROOT / "src")], calls=calls))
        return boot


def script(
    source: bytes,
    *,
    limits: ScriptLimits = SMALL,
    tier: Tier = "isolated",
    language: Language = "python",
    profile: Profile = "std",
) -> ScriptVersion:
    """Return a script version as a tenant's."""
    return ScriptVersion("attack", source, language, profile, tier, limits)


def chunk(data: dict[str, Any]) -> Chunk:
    """Return a chunk of one record."""
    return Chunk("scene", "ndjson", orjson.dumps(data) + b"\n", 1, (("", 1, 1, 1, 1),))


def request(data: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return what the product sends to a child that is to process one record."""
    listener = _Listener()
    runner = StrictScriptRunner(script(b""), listener, "process")  # type: ignore[arg-type]  # it only listens
    runner.run(chunk(data), seed=1, emit="ndjson", skip={})
    return listener.heard


def _ask(children: Children, seat: Seat, data: dict[str, Any]) -> Reply | Death:
    try:
        return children.ask(seat, *request(data))
    except SandboxUnavailable as gone:  # an attack that takes the zygote along has nobody left to tell its end
        return Death("zygote_gone", str(gone), wire.Mark(0, 0), 0.0)


class _Listener:
    """In the place of children: keeps what it is told."""

    def run(self, asked: dict[str, Any], data: bytes, *, records: int) -> Death:
        """Listen."""
        self.heard = asked, data
        assert records >= 0
        return Death("no_result", "", wire.Mark(0, 0), 0.0)


def processes_of(base: BaseZygote) -> set[int]:
    """Return the processes of a base zygote's session: it, and whatever came from it."""
    return processes_in(base._process.pid)


def processes_in(session: int) -> set[int]:
    """Return the processes of a session that have not ended."""
    return {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_of(pid, session)}


def settles(test: Callable[[], bool], *, within_s: float = 30) -> bool:
    """Return whether the test comes true soon."""
    deadline_s = time.monotonic() + within_s
    while not test():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_SETTLING_S)
    return True


def _is_of(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session and state_of(pid) not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def state_of(pid: int) -> str:
    """Return the letter of a process's state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


assert set(LAYERS) - {"environment"} <= set(vars(without)), "each layer can be left out"
