"""From a spool of records to the bytes of a file, in two passes: its columns, then its rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

from penstock_guest.writing.csv_rows import csv_blocks
from penstock_guest.writing.spool import columns_of, names_in, survey

# Modules that need Arrow are not imported here: one profile loads them, and nothing can be imported behind the lock.
_STREAMS = "penstock_guest.writing.streams"
_PARQUET = "penstock_guest.writing.parquet"


def write_blocks(
    spool: memoryview, *, to: Literal["csv", "parquet"], spool_format: Literal["ndjson", "arrow"]
) -> Iterator[bytes]:
    """Yield a file piece by piece, in flat memory.

    Args:
        spool: all records. NDJSON: lines. Arrow: IPC streams, each after its length in 8 bytes, the lowest first.
        to: the format of the file.
        spool_format: the format of the spool.

    Raises:
        SpoolError: when the spool is not what it should be, or the types of a column have none in common.
    """
    if spool_format == "arrow":
        streams = sys.modules[_STREAMS]
        schema = streams.schema_of(spool)
        if to == "csv":
            yield from csv_blocks(schema.names, streams.columns_of(spool, schema))
        else:
            yield from sys.modules[_PARQUET].parquet_blocks(schema, streams.tables_of(spool, schema))
        return
    if to == "csv":
        names = names_in(spool)
        yield from csv_blocks(names, columns_of(spool, names))
    else:
        parquet = sys.modules[_PARQUET]
        schema = parquet.schema_of(survey(spool))
        yield from parquet.parquet_blocks(schema, parquet.tables_of(columns_of(spool, schema.names), schema))
