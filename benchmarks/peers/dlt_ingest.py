"""dlt from a REST source to Parquet files: `python dlt_ingest.py URL FOLDER`.

Its own REST client follows the pages, its filesystem destination writes. It prints seconds, its imports not counted,
and rows.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"

import dlt  # what it reads when it is imported is set above
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator


def main(url: str, folder: str) -> int:
    """Load all pages; return how many rows they had."""
    parts = urlsplit(url)
    paginator = PageNumberPaginator(base_page=0, page_param="page", total_path=None, stop_after_empty_page=True)
    client = RESTClient(f"{parts.scheme}://{parts.netloc}", paginator=paginator, data_selector="data")

    @dlt.resource(name="orders", write_disposition="replace", primary_key="id")
    def orders() -> Iterator[list[Any]]:
        yield from client.paginate(parts.path)

    pipeline = dlt.pipeline(
        "bench", destination=dlt.destinations.filesystem(f"file://{folder}/out"), pipelines_dir=f"{folder}/state"
    )
    pipeline.run(orders(), loader_file_format="parquet")
    return int(pipeline.last_trace.last_normalize_info.row_counts["orders"])


if __name__ == "__main__":
    began_s = time.perf_counter()
    count = main(*sys.argv[1:3])
    print(json.dumps({"elapsed_s": time.perf_counter() - began_s, "rows": count}))
