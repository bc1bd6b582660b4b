"""A query on DuckDB in a plain process: `python plain_duckdb.py INPUT OUTPUT MEMORY_BYTES SQL`; prints seconds."""

import sys
import time

import duckdb

path, output, memory_bytes, sql = sys.argv[1:]
started_s = time.perf_counter()
config = {"threads": 2, "memory_limit": f"{memory_bytes}B", "preserve_insertion_order": "false"}
with duckdb.connect(":memory:", config=config) as connection:
    connection.execute(f"SET temp_directory = '{output}.spill'")
    connection.execute(f"CREATE VIEW orders AS SELECT * FROM read_parquet('{path}')")
    connection.execute(f"COPY ({sql}) TO '{output}' (FORMAT parquet)")
print(time.perf_counter() - started_s)
