"""The command line as somebody at a terminal calls it: a process of its own, in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from penstock.cli.main import main

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
KEEP = "def process(data):\n    return data\n"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with scripts and data, and what can be done in it."""

    path: Path

    def write(self, **files: str | bytes) -> None:
        """Write files; `clean_py` is clean.py."""
        for name, content in files.items():
            stem, _, ending = name.rpartition("_")
            path = self.path / f"{stem}.{ending}"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def penstock(self, *arguments: str, stdin: bytes = b"", exit_code: int = 0) -> subprocess.CompletedProcess[bytes]:
        """Call the command, and hold it to an exit code."""
        done = subprocess.run(
            [PENSTOCK, *arguments], cwd=self.path, input=stdin, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == exit_code, done.stderr.decode()
        return done

    def records(self, name: str) -> list[dict[str, Any]]:
        """Return the records of an NDJSON file."""
        return [orjson.loads(line) for line in (self.path / name).read_bytes().splitlines()]

    def names(self) -> list[str]:
        """Return the names of all files, hidden ones too."""
        return sorted(path.name for path in self.path.iterdir())


@dataclass(frozen=True, slots=True)
class Said:
    """What a command has printed."""

    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Here:
    """A folder, and commands in it: in this process, for to start thirty of them would take a minute."""

    path: Path

    def penstock(self, *arguments: str, exit_code: int = 0) -> Said:
        """Call a command, and hold it to an exit code."""
        out, err = io.StringIO(), io.StringIO()
        code, before, on_term = 0, sys.argv, signal.getsignal(signal.SIGTERM)
        sys.argv = ["penstock", *arguments]
        try:
            with contextlib.chdir(self.path), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = before
            signal.signal(signal.SIGTERM, on_term)
        assert code == exit_code, err.getvalue()
        return Said(out.getvalue(), err.getvalue())

    def shown(self, *arguments: str, exit_code: int = 0) -> Any:
        """Return the JSON that a command prints."""
        return json.loads(self.penstock(*arguments, "--json", exit_code=exit_code).out)


def ndjson(*records: dict[str, Any]) -> bytes:
    """Return records as lines."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)
