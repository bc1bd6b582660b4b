"""Commands load what they need: each of these libraries takes a tenth of a second, or several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HEAVY = (
    "alembic asyncpg boto3 cryptography duckdb fastapi httpx numpy obstore psycopg pyarrow pyiceberg rich structlog"
)
_LOADED = """
import contextlib, sys
from penstock.cli.main import cli
with contextlib.suppress(SystemExit):
    cli(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a project in which a run has been."""
    folder = tmp_path_factory.mktemp("start")
    loaded(folder, "init", "shop")
    loaded(folder / "shop", "run")
    return folder / "shop"


def loaded(folder: Path, *arguments: str) -> set[str]:
    """Return the libraries that a command has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments], cwd=folder, capture_output=True, timeout=60, check=True
    )
    return {name.partition(".")[0] for name in done.stderr.decode().splitlines()[-1].split()}


@pytest.mark.parametrize(
    ("arguments", "also"),
    [
        ("--help", "pydantic sqlalchemy yaml"),
        ("validate", "sqlalchemy"),
        ("status", "pydantic"),
        ("tables", "pydantic"),
        ("plan", ""),
        ("run", ""),  # with nothing to do
    ],
)
def test_a_command_does_not_load_what_it_does_without(shop, arguments, also):
    assert not loaded(shop, *arguments.split()) & {*_HEAVY.split(), *also.split()}
