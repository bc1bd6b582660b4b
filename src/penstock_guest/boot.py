"""Entry point of a base zygote: `python -s -P -S boot.py FD`, executed with a literal environment and one descriptor.

It is executed and never forked from the service, because a forked process keeps the service's memory, its first
environment included. The first message on the descriptor names the profile and where its libraries are: the command
line stays free of paths.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Load the profile that the service names, lock this process, and fork version zygotes until the service goes."""
    control_fd = int(sys.argv[1])
    hello = json.loads(os.read(control_fd, 65_536))
    sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__))), *hello["paths"]]
    from penstock_guest.zygote import BaseZygote

    BaseZygote(control_fd).serve(hello["profile"])


if __name__ == "__main__":
    main()
