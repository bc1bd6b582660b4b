"""However `penstock process` ends, nothing half done is left: no output, no file aside, no process."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.command import PENSTOCK, Folder, ndjson
from tests.processes import descendants_of, still_there

SLOW = "import time\ndef process(data):\n    time.sleep(0.05)\n    return data\n"
PATIENCE_S = 20.0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_takes_back_what_it_began(folder: Folder, how: signal.Signals):
    process = started(folder)
    below = descendants_of(process.pid)
    process.send_signal(how)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + how
    assert b"no output was written" in said
    assert (folder.path / "out.ndjson").read_text() == "what was there before\n"
    assert folder.names() == ["in.ndjson", "keep.py", "out.ndjson", "slow.py"]
    assert still_there(below) == []


def test_a_run_that_is_killed_leaves_no_process_and_no_output(folder: Folder):
    process = started(folder)
    below = descendants_of(process.pid)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert (folder.path / "out.ndjson").read_text() == "what was there before\n"
    assert still_there(below) == []


def test_a_full_disk_is_an_error_and_leaves_what_was_there(folder: Folder, small_disk: Path):
    folder.write(in_ndjson=ndjson(*({"n": "x" * 1000} for _ in range(2_000))))
    (small_disk / "out.ndjson").write_text("what was there before\n")
    done = folder.penstock("process", "keep.py", "in.ndjson", "-o", str(small_disk / "out.ndjson"), exit_code=2)
    assert b"out.ndjson: cannot be written: No space left on device" in done.stderr
    assert [path.name for path in small_disk.iterdir()] == ["out.ndjson"]
    assert (small_disk / "out.ndjson").read_text() == "what was there before\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk; tests/unit/storage has the same with a limit in its place")
    yield place
    subprocess.run(["umount", place], check=True)


def started(folder: Folder) -> subprocess.Popen[bytes]:
    """Return a run in the midst of its work."""
    folder.write(slow_py=SLOW, in_ndjson=ndjson(*({"n": n} for n in range(400))), out_ndjson="what was there before\n")
    process = subprocess.Popen(
        [PENSTOCK, "process", "slow.py", "in.ndjson", "-o", "out.ndjson", "--chunk", "20"],
        cwd=folder.path,
        stderr=subprocess.PIPE,
    )
    deadline_s = time.monotonic() + PATIENCE_S
    while not any(name.endswith(".part") for name in folder.names()) or not descendants_of(process.pid):
        assert time.monotonic() < deadline_s, "it never began"
        time.sleep(0.02)
    return process
