"""Generates a shop's orders, cleans them in the sandbox, and shows an attacking script being stopped."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORK = Path(".demo")  # below the root, where the demo runs, so that the commands it prints can be typed
ORDERS, SEED = 5_000, 7
FOLDER_NAMES = {sys.executable: ".venv/bin/python", str(Path(sys.executable).with_name("penstock")): "penstock"}


def main() -> None:
    """Run the demo; the exit code is 0 only when everything came out as it should."""
    os.chdir(ROOT)
    WORK.mkdir(exist_ok=True)
    put_in = generate()
    clean()
    check_result(put_in)
    attack()
    heading("The same commands work on your files. Next: docs/tutorials/first-run.md")


def generate() -> dict[str, Any]:
    """Make the orders of some months, one CSV file a day in one archive, and return what was put in."""
    heading(f"1. Generate {ORDERS:,} orders with the dirt that real ones have")
    generator = ["examples/retail/generate.py", "--orders", str(ORDERS), "--seed", str(SEED)]
    summary = run([sys.executable, *generator, "-o", f"{WORK}/by-day.tar.gz"], capture=True)
    print(summary.strip())
    put_in: dict[str, Any] = json.loads(summary)
    return put_in


def clean() -> None:
    """Clean them with examples/retail/clean.py, each chunk in a locked process of its own."""
    heading("2. Clean them: every chunk in a locked process of its own, on all cores")
    penstock("process", "examples/retail/clean.py", f"{WORK}/by-day.tar.gz", "-o", f"{WORK}/clean.ndjson")
    with open(WORK / "clean.ndjson") as file:
        for _ in range(3):
            print(" ", next(file).strip())


def check_result(put_in: dict[str, Any]) -> None:
    """Compare what came out with what the generator says it put in."""
    with open(WORK / "clean.ndjson") as file:
        totals = [Decimal(json.loads(line)["LineTotal"]) for line in file]
    found = {"rows": len(totals), "total": str(sum(totals))}
    print(f"\n  expected {put_in['expected']}\n  found    {found}")
    if found != put_in["expected"]:
        sys.exit("the cleaned orders are not what they should be")


def attack() -> None:
    """Run examples/attack/steal.py, which tries to take what it can and puts it into its records."""
    heading("3. An attack: examples/attack/steal.py claims to clean, and takes what it can get")
    (WORK / "one.ndjson").write_text('{"order": 1}\n')
    penstock("process", "examples/attack/steal.py", f"{WORK}/one.ndjson", "-o", f"{WORK}/stolen.ndjson")
    loot = json.loads((WORK / "stolen.ndjson").read_text())["_note"]
    print("\n  what it got:")
    for attempt, taken in loot.items():
        print(f"    {attempt}: {taken}")
    if any(taken is not None for taken in loot.values()):
        sys.exit("the script got something; that must not happen")


def penstock(*arguments: str) -> None:
    """Run the command line of this environment."""
    run([str(Path(sys.executable).with_name("penstock")), *arguments])


def run(command: list[str], *, capture: bool = False) -> str:
    """Show a command as one would type it, run it, and return what it wrote to standard error if asked."""
    print(f"\n$ {shlex.join([FOLDER_NAMES.get(command[0], command[0]), *command[1:]])}", flush=True)
    done = subprocess.run(command, check=False, text=True, stderr=subprocess.PIPE if capture else None)
    if done.returncode:
        sys.exit(f"that ended with {done.returncode}" + (f": {done.stderr}" if capture else ""))
    return done.stderr or ""


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
