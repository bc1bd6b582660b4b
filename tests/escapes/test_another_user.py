"""The suite once more, as a user without privileges: no part of the lock may need root."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.escapes.laboratory import ROOT

UID: Final = 12345
_ENVIRONMENT: Final = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "PENSTOCK_FUZZ_SECONDS": "2"}
# What the service makes of a reply depends on no user, nor does what a library starts, nor what an engine does unlocked
# or with one of its layers.
_LEFT_OUT: Final = "libraries or (test_heavy and (all_locks_off or alone or first_landlock))"
_OPTIONS: Final = ["-q", "-p", "no:cacheprovider", "--ignore=tests/escapes/test_replies.py", "-k", f"not ({_LEFT_OUT})"]
# ssl tells whether an interpreter that was moved has found its own parts, or those of another.
_NEEDED: Final = "import hypothesis, numpy, orjson, pyarrow, pytest, ssl, penstock.sandbox.strict, penstock_guest"


@dataclass(frozen=True, slots=True)
class Place:
    """An interpreter with the project and its libraries.

    Attributes:
        python: the program.
        project: the folder with src and tests.
        libraries: where its libraries are.
    """

    python: Path
    project: Path
    libraries: Path

    def run(self, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run it as the other user."""
        path = [str(self.project / "src"), str(self.libraries)]
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.project,
            env=_ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(path)},
            user=UID,
            group=UID,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def reason_against(self) -> str:
        """Return why the other user cannot use it; empty when it can."""
        try:
            ran = self.run("-c", _NEEDED, timeout_s=60)
        except (PermissionError, FileNotFoundError) as error:
            return str(error)
        return ran.stderr.strip().splitlines()[-1] if ran.returncode else ""


@pytest.mark.skipif(os.geteuid() != 0, reason="this run already is an ordinary user's")
@pytest.mark.timeout(620)
def test_the_suite_holds_for_an_ordinary_user():
    with contextlib.ExitStack() as stack:
        place = Place(Path(sys.executable), ROOT, Path(sysconfig.get_paths()["purelib"]))
        if place.reason_against():
            folder = Path(stack.enter_context(open_folder()))
            place = copied(place, folder)
        if reason := place.reason_against():
            pytest.skip(f"user {UID} cannot run this interpreter, nor a copy of it: {reason}")
        ran = place.run("-m", "pytest", "tests/escapes", *_OPTIONS, timeout_s=600)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]


@contextlib.contextmanager
def open_folder() -> Iterator[str]:
    """A folder that every user can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="penstock-elsewhere-") as folder:
        Path(folder).chmod(0o755)
        yield folder


def copied(place: Place, folder: Path) -> Place:
    """Return the same where every user can read it: a checkout may lie in a folder of root's, which is closed.

    Libraries are linked, not copied: they are large, and what closes them is a folder above them.
    """
    base = Path(sys.base_prefix)
    python = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    for name in ("src", "tests"):
        shutil.copytree(place.project / name, folder / "project" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(place.project / "pyproject.toml", folder / "project")
    shutil.copytree(place.libraries, folder / "libraries", copy_function=link_or_copy, symlinks=True)
    if not all(parent.stat().st_mode & stat.S_IXOTH for parent in python.parents):
        shutil.copytree(base, folder / "base", copy_function=link_or_copy, symlinks=True)
        python = folder / "base" / python.relative_to(base)
    return Place(python, folder / "project", folder / "libraries")


def link_or_copy(source: str, target: str) -> None:
    """Put a file in a second place, on the same file system without its bytes."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
