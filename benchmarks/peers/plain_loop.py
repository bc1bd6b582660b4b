"""What one would write without Penstock: `python plain_loop.py SCRIPT OUTPUT ARCHIVE...`, one process, one loop.

Same parser, same Decimal (it is in the script) and same serialiser, no sandbox, no dead letters, no progress.
"""

from __future__ import annotations

import csv
import io
import runpy
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

import orjson


def main() -> None:
    """Put every record of the CSV files in the archives through the script's function."""
    script, output, *archives = sys.argv[1:]
    process = runpy.run_path(script)["process"]
    with open(output, "wb") as file:
        for archive in archives:
            for record in records(archive):
                result = process(record)
                if result is not None:
                    file.write(orjson.dumps(result, default=str, option=orjson.OPT_APPEND_NEWLINE))


def records(archive: str) -> Iterator[dict[str, Any]]:
    """Yield the records of an archive's members, empty fields as None."""
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            if (raw := members.extractfile(member)) is not None:
                reader = csv.reader(io.TextIOWrapper(raw, "utf-8", newline=""))
                names = next(reader)
                for row in reader:
                    yield dict(zip(names, [field or None for field in row], strict=True))


if __name__ == "__main__":
    main()
