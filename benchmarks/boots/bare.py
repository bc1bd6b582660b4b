"""A base zygote whose version zygotes fork children that end at once: the floor under the cost of an isolated run.

All is as in `boot.py` up to the fork, lock and arenas included. Asked to park child N, it forks and reaps N of them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Do as `penstock_guest.boot.main` does, with another way to park."""
    control_fd = int(sys.argv[1])
    hello = json.loads(os.read(control_fd, 65_536))
    project = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path[:0] = [os.path.join(project, "src"), *hello["paths"]]
    from penstock_guest import zygote

    zygote.Turns.take = fork_bare  # type: ignore[method-assign]  # what this file is for
    zygote.BaseZygote(control_fd).serve(hello["profile"])


def fork_bare(self: Any, nest: Any) -> None:
    """Map the arenas, then fork and reap; tell the service what it cost."""
    inbox = self._inbox  # as the method it stands for
    while inbox.receive():
        nest.input.show(inbox.fds[1])
        nest.output.show(inbox.fds[2])
        children_s = 0.0
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        for _ in range(inbox.words[0]):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            usage = os.wait4(pid, 0)[2]
            children_s += usage.ru_utime + usage.ru_stime
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        os.write(0, json.dumps({"cpu_s": cpu_s + children_s, "wall_s": wall_s}).encode())
        os.closerange(1, 8)
    os._exit(0)


if __name__ == "__main__":
    main()
