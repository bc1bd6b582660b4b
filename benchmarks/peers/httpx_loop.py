"""What one would write for a REST source: `python httpx_loop.py URL FILE` asks page by page and writes Parquet.

It keeps one connection, turns each page into an Arrow table and writes that as it comes; nothing is tried again, and
nobody knows afterwards how far it came. It prints seconds, its imports not counted, and rows.
"""

from __future__ import annotations

import json
import sys
import time

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("ordered_at", pa.string()),
        ("customer", pa.string()),
        ("country", pa.string()),
        ("quantity", pa.int64()),
        ("price", pa.float64()),
        ("note", pa.string()),
    ]
)


def main(url: str, path: str) -> int:
    """Write all pages; return how many rows they had."""
    page, rows = 0, 0
    with httpx.Client(timeout=30, trust_env=False) as client, pq.ParquetWriter(path, SCHEMA) as writer:
        while page is not None:
            answer = client.get(url, params={"page": page}).raise_for_status().json()
            writer.write_table(pa.Table.from_pylist(answer["data"], schema=SCHEMA))
            rows, page = rows + len(answer["data"]), answer["next_page"]
    return rows


if __name__ == "__main__":
    began_s = time.perf_counter()
    count = main(*sys.argv[1:3])
    print(json.dumps({"elapsed_s": time.perf_counter() - began_s, "rows": count}))
