"""Storefronts whose every page goes wrong before it comes: late, broken off, cut short, refused, or no JSON."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from http.server import ThreadingHTTPServer
from typing import Any, Final

from tests.shop_nights import example

FAULTS: Final = ("timeout", "cut", "reset", "refused", "500", "503")
LATE_S: Final = 2.3  # of the two seconds that the connections wait


class BrokenStorefronts:
    """Serves the storefronts; each page goes wrong as often as is said, then it comes.

    Args:
        fault: of `FAULTS`; or `all`, each page by another.
        times: how often the same page goes wrong; the fourth time in a row a connection rests.
    """

    def __init__(self, fault: str, *, times: int = 1) -> None:
        self.fault, self.times = fault, times
        self.broken: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, target: str) -> str:
        """Return how a page goes wrong now; empty when it comes."""
        with self._lock:
            self._asked[target] += 1
            if self._asked[target] > self.times:
                return ""
            fault = FAULTS[len(self._asked) % len(FAULTS)] if self.fault == "all" else self.fault
            self.broken[fault] += 1
            return fault

    def serve(self, storefronts: Any) -> ThreadingHTTPServer:
        """Return a server on loopback that a thread of this process serves."""

        class Handler(example("server")._Handler):  # type: ignore[misc]  # of the example
            shops = storefronts

            def do_GET(handler) -> None:  # noqa: N802, N805  # as the class above has it; `self` is the storefronts here
                fault = self.next(handler.path)
                if fault:
                    _break(handler, fault)
                else:
                    super(Handler, handler).do_GET()

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server


def _break(handler: Any, fault: str) -> None:
    handler.close_connection = True
    if fault == "timeout":
        time.sleep(LATE_S)
    elif fault == "refused":
        _reset(handler.connection)  # before a word of an answer
    elif fault in ("cut", "reset"):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n")
        handler.wfile.write(b'{"orders": [{"id": 450789469, "updated_at": "2024-03-0')
        handler.wfile.flush()
        if fault == "reset":
            _reset(handler.connection)
    else:
        handler.send_error(int(fault))


def _reset(connection: socket.socket) -> None:
    """Let whoever reads be told that the connection is reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
