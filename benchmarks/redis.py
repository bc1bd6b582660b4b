"""A Redis server for peers that need one, where Debian's redis-server is installed."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator

from benchmarks import queues
from benchmarks.environments import PeerMissing

_READY_S = 10.0


@contextlib.contextmanager
def redis_url() -> Iterator[str]:
    """Give an empty server on a Unix socket that writes each change to the disk, as ours does, before it answers.

    Raises:
        PeerMissing: when redis-server is not installed.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise PeerMissing("redis-server is not installed: apt-get install redis-server")
    with queues.folder() as place:
        socket = place / "redis"
        settings = ["--port", "0", "--unixsocket", str(socket), "--dir", str(place), "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "always"]
        with subprocess.Popen([program, *settings, *durable], stdout=subprocess.DEVNULL) as server:
            try:
                deadline_s = time.monotonic() + _READY_S
                while not socket.exists():
                    if server.poll() is not None or time.monotonic() > deadline_s:
                        raise PeerMissing("redis-server does not start")
                    time.sleep(0.02)
                yield f"redis+socket://{socket}"
            finally:
                server.terminate()
                server.wait(10)
