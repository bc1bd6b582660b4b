"""The first tutorial does what it says: its own files and commands, taken from the page."""

import json
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/tutorials/first-run.md"
PENSTOCK = Path(sys.executable).parent / "penstock"


def test_the_tutorial_does_what_it_says(tmp_path):
    """Two come out, one is dropped, two fail; with the default share of errors there is no output."""
    page = PAGE.read_text("utf-8")
    for name, block in {"orders.ndjson": "json", "clean.py": "python"}.items():
        (tmp_path / name).write_text(block_of(page, block))
    command = next(line for line in page.splitlines() if line.startswith("penstock process")).split()

    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["order"] for line in (tmp_path / "clean.ndjson").read_text().splitlines()] == ["A1", "A5"]
    letters = [json.loads(line) for line in (tmp_path / "bad.ndjson").read_text().splitlines()]
    assert [(letter["line"], letter["error"]["script_line"]) for letter in letters] == [(2, 7), (4, None)]

    (tmp_path / "clean.ndjson").unlink()
    refused = run(command[: command.index("--max-errors")], tmp_path)
    assert refused.returncode == 2, refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.ndjson", "clean.py", "orders.ndjson"]


def block_of(page: str, language: str) -> str:
    """The first block of code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found, f"the page has no block of {language}"
    return found[1]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the page in a folder."""
    return subprocess.run([PENSTOCK, *command[1:]], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
