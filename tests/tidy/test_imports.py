"""The command line starts at once, because it loads nothing heavy before it must."""

import subprocess
import sys

HEAVY = {"asyncio", "email", "http", "multiprocessing", "sqlite3", "ssl", "tarfile", "unittest", "xml"}
HEAVY |= {"duckdb", "numpy", "orjson", "penstock_guest", "pyarrow", "pyiceberg", "quickjs", "rich", "zstandard"}


def test_the_command_line_loads_nothing_heavy():
    """`penstock --help` must feel instant."""
    program = "import sys, penstock.cli.main; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True, timeout=30)
    assert sorted({name.split(".")[0] for name in ran.stdout.split()} & HEAVY) == []
