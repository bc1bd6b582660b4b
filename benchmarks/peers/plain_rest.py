"""The loop that anybody would write: `python plain_rest.py URL OUTPUT`; pages to one Parquet file, prints seconds."""

import sys
import time

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

url, output = sys.argv[1:]
started_s = time.perf_counter()
tables = []
with httpx.Client() as client:
    page = 1
    while orders := client.get(f"{url}/orders", params={"page": page}).raise_for_status().json()["orders"]:
        tables.append(pa.Table.from_pylist(orders))
        page += 1
pq.write_table(pa.concat_tables(tables, promote_options="permissive"), output, compression="zstd")
print(time.perf_counter() - started_s)
