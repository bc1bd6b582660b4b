"""Environments of peers: a virtual one for each, made when it is first measured and kept for the next time."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_REQUIREMENTS: Final = Path(__file__).with_name("peers") / "requirements"
_KEPT: Final = Path(__file__).parents[1] / ".bench"
_INSTALL_S: Final = 900.0


class PeerMissing(Exception):
    """A peer cannot be installed here; the figures beside it are left out, with the reason."""


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment, with what `peers/requirements/<peer>.txt` pins.

    Raises:
        PeerMissing: when it cannot be installed.
    """
    requirements = _REQUIREMENTS / f"{peer}.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    folder, stamp = _KEPT / peer, _KEPT / peer / "stamp"
    python = folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    for command in (
        [*uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [*uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
        if done.returncode:
            raise PeerMissing(f"{peer} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    stamp.write_text(wanted)
    return python
