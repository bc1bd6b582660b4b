"""The guest's own loop in a plain process: no lock, no fork, no arena of shared memory. Run by `benchmarks.beside`.

The first line on standard input says what to load and what to run; each line after it names chunks to run, and is
answered with how long each took, from the bytes of the chunk to the bytes of its output, and the CPU time of all.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Prepare as a zygote does, then run chunks as a child does."""
    hello = json.loads(sys.stdin.readline())
    sys.path[:0] = hello["paths"]
    from penstock_guest import child, profiles, programs, wire

    profiles.load(hello["profile"])
    source, *payloads = _parts(hello["parts"])
    memory = memoryview(bytearray(hello["spec"]["output_bytes"] + wire.HEADER_BYTES))
    output = child.Output(memory, records_bytes_max=hello["spec"]["records_bytes"])
    program = programs.prepare(hello["spec"], source)
    assert not program.problems, program.problems
    program.rehearse()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*child.GC_THRESHOLD)
    program.park(output)

    def run(number: int) -> bytes:
        output.size_bytes = 0
        account = program.run(hello["requests"][number], memoryview(payloads[number]), output)
        assert "error" not in account, account
        return bytes(memory[wire.HEADER_BYTES : wire.HEADER_BYTES + account["output_bytes"]])

    for line in sys.__stdin__ or ():
        os.write(1, json.dumps(_measure(run, json.loads(line))).encode() + b"\n")


def _measure(run: Any, numbers: list[int]) -> dict[str, Any]:
    latencies_s = []
    data = b""
    cpu_s = time.process_time()
    for number in numbers:
        began_s = time.perf_counter()
        data = run(number)
        latencies_s.append(time.perf_counter() - began_s)
    cpu_s = time.process_time() - cpu_s
    return {"latencies_s": latencies_s, "cpu_s": cpu_s, "last": hashlib.sha256(data).hexdigest()}


def _parts(paths: list[str]) -> list[bytes]:
    found = []
    for path in paths:
        with open(path, "rb") as file:
            found.append(file.read())
    return found


if __name__ == "__main__":
    main()
