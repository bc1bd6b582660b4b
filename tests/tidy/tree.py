"""The project's files as the tidy rules see them: whatever git tracks or would track."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def files() -> list[Path]:
    """All files of the project, relative to its root."""
    # The owner may be somebody else: the suite also runs as an ordinary user in a tree that root has checked out.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=30).stdout
    found = [Path(name) for name in listed.split("\0") if name]
    assert found, "git lists no file here"
    return [path for path in found if (ROOT / path).is_file()]


def files_named(*suffixes: str) -> list[Path]:
    """Files that end in one of `suffixes`, such as `.py`."""
    return [path for path in files() if path.suffix in suffixes]


@cache
def text(path: Path) -> str:
    """What is in the file; empty when it is not text."""
    try:
        return (ROOT / path).read_text("utf-8")
    except UnicodeDecodeError:
        return ""


def lines() -> Iterator[tuple[str, str]]:
    """Every line of every text file, each after its place, `file:line`."""
    for path in files():
        for number, line in enumerate(text(path).splitlines(), 1):
            yield f"{path}:{number}", line


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(text(path), str(path))


def definitions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Every function and class of every Python file, each after its place, `file:line`."""
    for path in files_named(".py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, (*FUNCTION, ast.ClassDef)):
                yield f"{path}:{node.lineno}", node
