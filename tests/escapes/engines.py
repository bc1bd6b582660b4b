"""Where engines are attacked: a child of the heavy class, with all of its lock or with layers of it left out."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

import orjson

from penstock.core import limits as core
from penstock.core.engines import EngineAnswer, EngineFailure, EngineLimits, EngineRequest, Stop
from penstock.sandbox import heavy
from penstock.sandbox.children import Death
from penstock_guest import wire
from tests.escapes import without_engine
from tests.escapes.attack import MIB, Attack
from tests.escapes.laboratory import _BLUNDERS, ROOT, processes_in, settles
from tests.escapes.scene import Scene
from tests.escapes.trial import Trial

KERNEL: Final = ("landlock", "seccomp", "rlimits", "privileges", "closing", "mdwe", "hiding", "no_new_privileges")
LAYERS: Final = (*KERNEL, "duckdb", "watch", "environment")
Sign = Callable[[Any], bool]
_IN_THE_PARENT: Final = {"watch", "environment"}
SMALL: Final = EngineLimits(wall_s=60, cpu_s=10, memory_bytes=512 * MIB, disk_bytes=64 * MIB)
_FILES_MAX: Final = 2_000  # so that attacks that make files do not take long
_SHOWING_S: Final = 20.0
_SETTLING_S: Final = 0.01
_STRAYS_ENOUGH: Final = 10
_STRAYING_S: Final = 1.5
_BOOT: Final = """\
import sys
sys.path[:0] = {paths!r}
from tests.escapes import without, without_engine
{calls}
from penstock_guest.heavy import boot
boot.main()
"""


@dataclass(frozen=True, slots=True)
class Query:
    """An attack in SQL; its fields are those of `Attack`, and `{names}` in it stand for what the parent prepares.

    Attributes:
        single: it is one SELECT, as the product would run it.
        rows: it returns rows; else it writes a file.
    """

    name: str
    sql: str
    sign: Sign
    needs: tuple[str, ...] = ()
    limits: EngineLimits = SMALL
    lifted: Mapping[str, Any] = field(default_factory=dict)
    ends_as: str = "sql_failed"
    held_by: tuple[str, ...] = ("kernel", "duckdb")
    rows: bool = True

    def __str__(self) -> str:
        return self.name.replace(" ", "_")


class EngineScene(Scene):
    """What the parent prepares for attacks on engines."""

    def __init__(self, uid: int) -> None:
        super().__init__(uid)
        self.staging = self.folder / "staging" / "attempt"
        self.staging.mkdir(parents=True, mode=0o700)
        self.reads: list[str] = []

    def look(self) -> object:
        """Leave out what the attempt may change."""
        seen: Any = super().look()
        files, victim = seen
        return [file for file in files if not file[0].startswith(str(self.staging))], victim

    def close(self) -> None:
        """Take everything away again, however deep."""
        heavy.clear(self.staging)
        super().close()

    def database(self) -> str:
        """The records database, with a secret in it."""
        path = self.folder / "records.db"
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE secrets (value TEXT)")
            connection.execute("INSERT INTO secrets VALUES (?)", (self.secret,))
        return str(path)

    def parquet(self) -> str:
        """Another workspace's table."""
        import duckdb

        path = self.folder / "other.parquet"
        duckdb.execute(f"COPY (SELECT '{self.secret}' AS name) TO '{path}' (FORMAT parquet)")
        return str(path)

    def duck(self) -> str:
        """A database of DuckDB's own."""
        import duckdb

        path = self.folder / "other.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE TABLE secrets AS SELECT '{self.secret}' AS value")
        return str(path)

    def planted(self) -> str:
        """A link in the staging folder that leads out of it."""
        link = self.staging / "link"
        link.symlink_to(self.folder / "canary")
        return str(link)

    def linked(self) -> str:
        """An input that is a link to elsewhere."""
        link = self.folder / "input"
        link.symlink_to(self.folder / "canary")
        self.reads.append(str(link))
        return str(link)

    def given(self) -> str:
        """An input."""
        path = Path(self.own_file())
        self.reads.append(str(path))
        return str(path)

    def beside(self) -> str:
        """The staging folder."""
        return str(self.staging)


@dataclass(slots=True)
class EngineTrial(Trial):
    """What became of an attack on an engine.

    Attributes:
        ended: what the product said of it; None while it lingers.
        said: what it answered.
        seen: the most that was seen of `memory`, `disk` (bytes, files without a name counted) and `threads` at once.
    """

    ended: EngineAnswer | EngineFailure | None = None
    said: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    @property
    def told(self) -> bytes:
        """Every byte that came out, words of errors included."""
        return json.dumps([self.said, getattr(self.ended, "message", "")]).encode()

    @property
    def loot(self) -> Any:
        """What the attack returned."""
        return self.said.get("loot", self.said.get("rows"))

    @property
    def code(self) -> str:
        """The code that it ended with."""
        return self.ended.code if isinstance(self.ended, EngineFailure) else ""

    @property
    def error_type(self) -> str:
        """The exception that it ended with."""
        return str(self.said.get("error", {}).get("type", ""))


class EngineLaboratory:
    """Carries out attacks on engines at one state of the lock."""

    def __init__(self, left_out: frozenset[str], *, uid: int) -> None:
        self.left_out = left_out
        self.uid = uid
        self.secret = secrets.token_hex(16)
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-boot-")
        self._boots = {lingers: self._write_boot(lingers=lingers) for lingers in (False, True)}

    def expect_success(self, attack: Attack | Query) -> None:
        """Show that the attack is one: it gets through."""
        with self.attempt(attack, lifted=True) as trial:
            through = settles(lambda: attack.sign(trial), within_s=_SHOWING_S)
            assert through, f"{attack.name} does nothing: {trial.ended} {trial.said}"

    def expect_stop(self, attack: Attack | Query) -> None:
        """Show that the attack does not get through."""
        with self.attempt(attack) as trial:
            time.sleep(_SETTLING_S)
            assert not attack.sign(trial), f"{attack.name} got through: {trial.ended} {trial.said} {trial.seen}"
            assert trial.error_type not in _BLUNDERS, f"{attack.name} was not stopped, it failed: {trial.said}"
            if self.left_out <= {"new_landlock"}:
                assert attack.ends_as in ("", trial.code), f"{attack.name} ended as {trial.code}: {trial.ended}"

    @contextlib.contextmanager
    def attempt(self, attack: Attack | Query, *, lifted: bool = False) -> Iterator[EngineTrial]:
        """Carry out an attack, and clear up after it."""
        fewer = mock.patch.object(core, "ENGINE_FILES", replace(core.ENGINE_FILES, value=_FILES_MAX))
        with contextlib.closing(EngineScene(self.uid)) as scene, self._environment(), fewer:
            request = self._request(attack, scene, lifted=lifted)
            lingers = isinstance(attack, Attack) and attack.lingers
            child = heavy._Child(self._boots[lingers], request)
            trial = EngineTrial(
                scene, Death("no_result", "", wire.Mark(0, 0), 0.0), child._process.pid, (scene.secret, self.secret)
            )
            try:
                with child:
                    self._watch(child, trial, lingers=lingers)
                    yield trial
            finally:
                for pid in processes_in(trial.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, 9)

    def close(self) -> None:
        """Take the boots away."""
        self._folder.cleanup()

    def _request(self, attack: Attack | Query, scene: EngineScene, *, lifted: bool) -> EngineRequest:
        data = scene.prepare(attack.needs)
        bounds = attack.limits if isinstance(attack, Query) else _as_engine(attack)
        bounds = replace(bounds, **attack.lifted) if lifted else bounds
        ask: dict[str, Any] = {"tables": {}, "output": None, "rows_max": 100, "readable": scene.reads}
        if isinstance(attack, Query):
            names = {name: value["pid"] if name == "victim" else value for name, value in data.items()}
            sql = attack.sql.strip()
            for name, value in names.items():
                sql = sql.replace(f"{{{name}}}", str(value))
            ask |= {"sql": sql, "output": None if attack.rows else {"name": "out.parquet", "options": []}}
        else:
            ask |= {"sql": "native", "code": attack.source().decode(), "data": data}
        return EngineRequest("sql", ask, scene.reads, str(scene.staging), bounds)

    def _watch(self, child: heavy._Child, trial: EngineTrial, *, lingers: bool) -> None:
        """Let the product attend to a child, and look at it from beside; of one that lingers, take the answer only."""
        started_s, stop = time.monotonic(), Stop()
        grown_s, strays = started_s, 0
        attending = threading.Thread(target=self._attend, args=(child, trial, stop), kwargs={"lingers": lingers})
        attending.start()
        while attending.is_alive():
            _look(trial)
            if len(trial.strays) > strays:
                grown_s, strays = time.monotonic(), len(trial.strays)
            if strays > _STRAYS_ENOUGH or (strays and time.monotonic() - grown_s > _STRAYING_S):
                stop.ask()  # what has been forked holds the channel, and shows by being there
            attending.join(0.005)
        trial.wall_s = time.monotonic() - started_s
        if trial.ended is not None:
            trial.cpu_s = trial.ended.cpu_s

    def _attend(self, child: heavy._Child, trial: EngineTrial, stop: Stop, *, lingers: bool) -> None:
        with contextlib.ExitStack() as stack:
            if "watch" in self.left_out:
                stack.enter_context(mock.patch.object(child, "_passed_memory", _not_passed))
                stack.enter_context(mock.patch.object(child, "_passed_disk", _not_passed))
                stack.enter_context(mock.patch.object(heavy, "_ANSWER_BYTES_MAX", 2**40))
            if lingers:
                trial.said = _answer_of(child)
                return
            trial.ended = child.attend(stop)
            if isinstance(trial.ended, EngineAnswer):
                trial.said = dict(trial.ended.answer)

    def _environment(self) -> contextlib.AbstractContextManager[object]:
        if "environment" in self.left_out:
            return mock.patch.dict(wire.ENVIRONMENT, {"PENSTOCK_SECRET": self.secret})
        return mock.patch.dict(os.environ, {"PENSTOCK_SECRET": self.secret})

    def _write_boot(self, *, lingers: bool) -> Path:
        layers = sorted(self.left_out - _IN_THE_PARENT)
        ours = [name for name in layers if hasattr(without_engine, name)]
        calls = [f"without.{name}()" for name in layers if name not in ours]
        calls += [f"without_engine.{name}()" for name in (*ours, "taking_over", *(["lingering"] if lingers else []))]
        boot = Path(self._folder.name) / f"boot_{lingers}.py"
        boot.write_text(_BOOT.format(paths=[str(ROOT), str(ROOT / "src")], calls="\n".join(calls)))
        return boot


def memory_of(bound_mib: int) -> Sign:
    """It had more in memory at once than allowed."""
    return lambda trial: trial.seen.get("memory", 0) > bound_mib * MIB


def disk_of(bound_mib: int) -> Sign:
    """It took more of the disk at once than allowed, files without a name counted."""
    return lambda trial: trial.seen.get("disk", 0) > bound_mib * MIB


def _as_engine(attack: Attack) -> EngineLimits:
    """Return an engine's limits for an attack on scripts."""
    return replace(SMALL, wall_s=min(SMALL.wall_s, attack.limits.wall_s + 5), cpu_s=attack.limits.cpu_s)


def _answer_of(child: heavy._Child) -> dict[str, Any]:
    message = orjson.dumps(heavy._message(child._request))
    child._channel.settimeout(10)
    child._channel.sendall(len(message).to_bytes(8, "big") + message)
    said = b""
    while said.count(b"\n") < 2 and (part := child._channel.recv(65_536)):
        said += part
    lines = said.split(b"\n")
    return dict(orjson.loads(lines[1])["answer"]) if len(lines) > 2 else {}


def _look(trial: EngineTrial) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        resident, shared = Path(f"/proc/{trial.pid}/statm").read_text().split()[1:3]
        _note(trial, "memory", (int(resident) - int(shared)) * 4096)
        _note(trial, "threads", int(Path(f"/proc/{trial.pid}/stat").read_text().rpartition(")")[2].split()[17]))
    strays = sorted(processes_in(trial.pid) - {trial.pid})
    trial.strays = strays if len(strays) > len(trial.strays) else trial.strays
    with contextlib.suppress(OSError):
        folder = Path(f"/proc/{trial.pid}/fd")
        nameless = [fd.stat() for fd in folder.iterdir() if " (deleted)" in os.readlink(fd)]
        named = [path.lstat() for path in trial.scene.folder.rglob("*")]
        _note(trial, "disk", sum(about.st_blocks * 512 for about in (*nameless, *named)))
        _note(trial, "files", len(named))


def _note(trial: EngineTrial, name: str, value: int) -> None:
    trial.seen[name] = max(value, trial.seen.get(name, 0))


def _not_passed() -> None:
    return
