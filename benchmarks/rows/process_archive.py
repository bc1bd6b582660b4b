"""`penstock process` with the retail cleaner over the real archive, ten times in one call, on two cores; three rounds.

Beside one plain process with one loop (`peers/plain_loop.py`): the csv module, the same function and Decimal, orjson.
Both read the same .tar.gz files and write the same bytes of NDJSON. Start-up is `penstock process` over one order, and
is part of what it is reported apart from. Where the real archive is not, a generated one stands in.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import retail
from benchmarks.figures import Figure, number
from benchmarks.timing import elapsed_s, median, on_cores

NUMBER: Final = 7
TITLE: Final = "`penstock process`, the real file ten times"
_PLAIN: Final = Path(__file__).parents[1] / "peers" / "plain_loop.py"


def measure(*, quick: bool) -> list[Figure]:
    """Return the wall time beside the plain loop's, and start-up."""
    rounds, repeats, orders = (1, 1, 200) if quick else (3, 10, 25_000)
    with tempfile.TemporaryDirectory() as name, on_cores(2):
        folder = Path(name)
        real = None if quick else retail.real_archive()
        archive = real or retail.generate(folder / "orders.tar.gz", orders=orders)
        one = retail.generate(folder / "one.csv", orders=1)
        starts = [_penstock([one], folder) for _ in range(rounds)]
        ours, plain = [], []
        for _ in range(rounds):
            ours.append(_penstock([archive] * repeats, folder))
            plain.append(_plain([archive] * repeats, folder))
            assert _sha256(folder / "ours.ndjson") == _sha256(folder / "plain.ndjson"), "not the same output"
    how = f"{number(median(ours))} s / {number(median(plain))} s, {'the real file' if real else 'generated data'}"
    ratio = median([mine / theirs for mine, theirs in zip(ours, plain, strict=True)])
    return [
        Figure("wall time / a plain loop's", ratio, "x", how, at_most=0.8),
        Figure("start-up", median(starts) * 1e3, "ms", "one order; included above"),
    ]


def _penstock(inputs: list[Path], folder: Path) -> float:
    command: list[str | Path] = [sys.executable, "-m", "penstock", "process", retail.CLEANER, *inputs]
    return _timed([*command, "-o", folder / "ours.ndjson", "--dead-letters", folder / "dead.ndjson"])


def _plain(inputs: list[Path], folder: Path) -> float:
    return _timed([sys.executable, _PLAIN, retail.CLEANER, folder / "plain.ndjson", *inputs])


def _timed(command: list[str | Path]) -> float:
    return elapsed_s(lambda: subprocess.run(command, check=True, capture_output=True))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
