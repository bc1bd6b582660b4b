"""What the parent prepares for an attack and watches during it: secrets, files, listeners and a victim process."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.escapes import machine

_VICTIM: Final = Path(__file__).with_name("victim.py")
_GOING_S: Final = 5.0  # until a process that is just going is gone
INTERPRETER: Final = os.path.realpath(getattr(sys, "_base_executable", sys.executable))


class Scene:
    """One attack's surroundings. Everything here may be touched by the user that children run as, and nothing may be.

    Args:
        uid: of the children.
    """

    def __init__(self, uid: int) -> None:
        self.uid = uid
        self.secret = secrets.token_hex(16)
        # Not pytest's own folder: other users cannot enter that one.
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-escape-"))
        self.folder.chmod(0o777)
        (self.folder / "canary").write_text(self.secret)
        self.ports: list[int] = []
        self.keys_before = 0
        self._listeners: list[socket.socket] = []
        self._victim: Victim | None = None
        self._before: object = None

    def prepare(self, needs: tuple[str, ...]) -> dict[str, Any]:
        """Make what an attack needs, remember how everything looks, and return what the attack is told."""
        told = {name: getattr(self, name)() for name in needs}
        self._before = self.look()
        return told | {"numbers": machine.numbers(), "killing_code": machine.KILLING_CODE, "paths": sys.path}

    def close(self) -> None:
        """Take everything away again."""
        for listener in self._listeners:
            listener.close()
        if self._victim is not None:
            self._victim.close()
        shutil.rmtree(self.folder)

    # What attacks need.

    def canary(self) -> str:
        """A file with the secret in it."""
        return str(self.folder / "canary")

    def drop(self) -> str:
        """A folder that anybody may write to."""
        return str(self.folder)

    def own_file(self) -> str:
        """A file that belongs to the child's user."""
        path = self.folder / "own"
        path.write_text("as it was")
        path.chmod(0o666)
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.uid)
        return str(path)

    def module(self) -> str:
        """A folder with a module of Python in it, which holds the secret."""
        (self.folder / "canary_module.py").write_text(f"SECRET = {self.secret!r}")
        return str(self.folder)

    def hidden_name(self) -> str:
        """A folder in which the name of a file is the secret."""
        folder = self.folder / "names"
        folder.mkdir()
        (folder / self.secret).touch()
        return str(folder)

    def tcp(self) -> int:
        """A port of this machine that listens."""
        return int(self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)).getsockname()[1])

    def secret_port(self) -> None:
        """A port that listens, and that nobody tells."""
        self.ports.append(self.tcp())

    def mptcp(self) -> int:
        """A port that listens for connections over several paths."""
        return int(self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), 262).getsockname()[1])

    def udp(self) -> int:
        """A port that takes datagrams."""
        return int(self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)).getsockname()[1])

    def unix(self) -> str:
        """A socket in the file system that listens."""
        path = self.folder / "socket"
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, str(path))
        path.chmod(0o777)
        return str(path)

    def abstract(self) -> str:
        """A socket without a file that listens."""
        name = f"penstock-escape-{secrets.token_hex(8)}"
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}")
        return name

    def victim(self) -> dict[str, Any]:
        """A process of the child's user."""
        self._victim = Victim(self.uid, self.secret)
        return self._victim.place

    def keyring(self) -> None:
        """The keys that the kernel keeps for the child's user."""
        self.keys_before = self.keys_of_the_user()

    # What shows that an attack got through.

    def keys_of_the_user(self) -> int:
        """Return how many keys the kernel keeps for the child's user."""
        if not machine.KEYS.exists():
            return 0
        users = dict(line.split(":") for line in machine.KEYS.read_text().splitlines())
        found = {int(uid): int(counts.split()[1].split("/")[0]) for uid, counts in users.items()}
        return found.get(self.uid, 0)

    def touched(self) -> bool:
        """Whether anything that is watched has changed: files, listeners, the victim."""
        return self.look() != self._before or self.reached()

    def reached(self) -> bool:
        """Whether somebody has come to a listener."""
        return any(_visited(listener) for listener in self._listeners)

    def look(self) -> object:
        """Return how the files and the victim are now."""
        return list(_files(self.folder)), self._victim.look() if self._victim is not None else None

    def _listen(self, family: int, kind: int, address: Any, protocol: int = 0) -> socket.socket:
        listener = socket.socket(family, kind, protocol)
        self._listeners.append(listener)
        listener.settimeout(0)
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            if family == socket.AF_INET:
                with contextlib.suppress(OSError):  # where the machine lets servers take data with the first packet
                    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
            listener.listen()
        return listener


@dataclass(frozen=True, slots=True)
class Look:
    """How a process is: all that another one of the same user could change."""

    state: str
    memory: bytes
    limits: str
    nice: int
    processors: frozenset[int]


class Victim:
    """A process for attacks to harm."""

    def __init__(self, uid: int, secret: str) -> None:
        self._process = subprocess.Popen(
            [INTERPRETER, "-I", "-S", str(_VICTIM), str(uid), secret],
            env={"SECRET": secret},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None, "asked for above"
        self.place: dict[str, Any] = json.loads(self._process.stdout.readline())

    def look(self) -> Look | None:
        """Return how it is now, None when it is gone."""
        try:
            return None if self._process.poll() is not None else self._look(self._process.pid)
        except (ProcessLookupError, FileNotFoundError):  # it is just going
            return None
        except PermissionError:  # so is this: what has given up its memory already belongs to nobody any more
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GOING_S)
                return None
            raise

    def _look(self, pid: int) -> Look:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(self.place["address"])
            held = memory.read(self.place["size"])
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        bounds = Path(f"/proc/{pid}/limits").read_text()
        nice = os.getpriority(os.PRIO_PROCESS, pid)
        # Waking up and going to sleep again is its own affair.
        return Look("alive" if state in "RSD" else state, held, bounds, nice, frozenset(os.sched_getaffinity(pid)))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def _files(folder: Path) -> Iterator[tuple[object, ...]]:
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        attributes = [(name, os.getxattr(path, name)) for name in os.listxattr(path, follow_symlinks=False)]
        yield str(path), about.st_mode, about.st_nlink, about.st_mtime_ns, content, attributes


def _visited(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_DGRAM:
            listener.recv(1)
        else:
            listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True
