"""Scripts in real children: what comes out, and what a chunk that cannot be tried costs."""

import io
import tempfile

import pyarrow.parquet
import pytest

from tests.trying import errors_of, result_of

DIED = {"code": "crashed", "type": None, "message": "x", "script_line": None}


def test_a_whole_chunk_can_be_left_untried(sandbox):
    """Its errors are one, not ten thousand: they would not fit into the message to the child."""
    result = result_of(
        sandbox, "def process(data): return data", 10_000, rest={**DIED, "code": "chunk_failed"}, skip={3: DIED}
    )
    codes = [error["code"] for error in errors_of(result)]
    assert (codes[3], codes.count("chunk_failed"), result.output) == ("crashed", 9_999, b"")


@pytest.mark.parametrize(("spool_format", "to"), [("ndjson", "csv"), ("ndjson", "parquet"), ("arrow", "parquet")])
def test_no_records_at_all_can_be_converted(sandbox, spool_format, to):
    with tempfile.TemporaryFile() as spool:
        converted = b"".join(sandbox.convert(spool.fileno(), spool_format=spool_format, to=to))
    assert (converted == b"") == (to == "csv")
    if to == "parquet":
        assert pyarrow.parquet.read_table(io.BytesIO(converted)).num_rows == 0
