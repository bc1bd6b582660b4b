"""A chunk as one Arrow table: in from every format, out as lines or as a stream."""

import io
import struct
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pytest

from penstock.core.scripts import Chunk, ChunkResult
from tests.trying import chunk_of, death_of, errors_of, letters_of, records_of, result_of, script_of

ARROW: dict[str, Any] = {"profile": "arrow"}
KEEP = "def process_table(table): return table"


def ended(sandbox, source, chunk, *, emit="ndjson", skip=None):
    """How a table script ends over a chunk."""
    with sandbox.open_script(script_of(source, **ARROW), parallel=1) as runner:
        result = runner.run(chunk, seed=1, emit=emit, skip=skip or {})
    assert isinstance(result, ChunkResult), result
    return result


def csv_chunk(text, records):
    """A chunk of CSV text with its header."""
    return Chunk("in.csv", "csv", text.encode(), records, ((None, 1, 2, records, records),))


def arrow_chunk(rows):
    """A chunk that is an Arrow stream."""
    table = pa.Table.from_pylist(rows)
    buffer = io.BytesIO()
    with pyarrow.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    return Chunk("in.parquet", "arrow", buffer.getvalue(), len(rows), ((None, 1, None, len(rows), 0),))


def rows_of_stream(output):
    """The rows of streams that each come after their length."""
    rows = []
    while output:
        (size,) = struct.unpack_from("<Q", output)
        rows += pyarrow.ipc.open_stream(output[8 : 8 + size]).read_all().to_pylist()
        output = output[8 + size :]
    return rows


ROWS: list[dict[str, Any]] = [{"a": 1, "s": "x"}, {"a": 2, "s": None}, {"a": None, "s": "z"}]


@pytest.mark.parametrize("chunk", [chunk_of(ROWS), arrow_chunk(ROWS)], ids=["ndjson", "arrow"])
def test_a_table_comes_in_from_every_format_and_goes_out_as_lines(sandbox, chunk):
    result = ended(sandbox, KEEP, chunk)
    assert records_of(result) == ROWS
    assert (result.records, result.produced, result.dropped, result.rows) == (3, 3, 0, 3)


def test_every_column_of_csv_is_text(sandbox):
    """As it is for the other functions; what is empty is null."""
    result = ended(sandbox, KEEP, csv_chunk('a,b\n1,x\n,"y,z"\n', 2))
    assert records_of(result) == [{"a": "1", "b": "x"}, {"a": None, "b": "y,z"}]


@pytest.mark.parametrize("chunk", [chunk_of(ROWS), arrow_chunk(ROWS)], ids=["ndjson", "arrow"])
def test_a_table_goes_out_as_a_stream(sandbox, chunk):
    assert rows_of_stream(ended(sandbox, KEEP, chunk, emit="arrow").output) == ROWS


@pytest.mark.parametrize(
    ("body", "output", "counts"),
    [
        ("table.slice(1)", ROWS[1:], (2, 1, 0, 2)),
        ("pyarrow.concat_tables([table, table])", ROWS * 2, (3, 0, 0, 6)),
        ("None", [], (0, 3, 0, 0)),
        ("table.to_batches()[0]", ROWS, (3, 0, 0, 3)),
        ("table.slice(0, 0)", [], (0, 3, 0, 0)),
    ],
)
def test_a_function_returns_a_table_or_none(sandbox, body, output, counts):
    result = result_of(sandbox, f"import pyarrow\ndef process_table(table): return {body}", ROWS, **ARROW)
    assert records_of(result) == output
    assert (result.produced, result.dropped, result.failed, result.rows) == counts


@pytest.mark.parametrize("returned", ["5", "table.to_pylist()", "table['a']", "{}"])
def test_anything_else_fails_all_rows(sandbox, returned):
    result = result_of(sandbox, f"def process_table(table): return {returned}", ROWS, **ARROW)
    assert {error["message"].partition(";")[2] for error in errors_of(result)} == {
        " valid: a pyarrow.Table, or None to drop all rows"
    }
    assert result.failed == 3


@pytest.mark.parametrize("chunk", [chunk_of(ROWS), arrow_chunk(ROWS)], ids=["ndjson", "arrow"])
def test_a_table_that_fails_fails_for_each_of_its_rows(sandbox, chunk):
    result = ended(sandbox, "def process_table(table):\n    raise KeyError('x')", chunk)
    assert [letter["data"] for letter in letters_of(result)] == ROWS
    assert [letter["record"] for letter in letters_of(result)] == [1, 2, 3]
    assert [(cause.type, cause.script_line, cause.records) for cause in result.causes] == [("KeyError", 2, 3)]


@pytest.mark.parametrize("chunk", [chunk_of(ROWS), arrow_chunk(ROWS)], ids=["ndjson", "arrow"])
def test_rows_that_are_not_to_be_tried_all_fail_with_what_is_known(sandbox, chunk):
    known = {"code": "limit_cpu", "type": None, "message": "m", "script_line": None}
    result = ended(sandbox, KEEP, chunk, skip=dict.fromkeys(range(3), known))
    assert ([error["code"] for error in errors_of(result)], result.output) == (["limit_cpu"] * 3, b"")


def test_lines_that_are_no_records_fail_and_the_others_make_the_table(sandbox):
    chunk = Chunk("in", "ndjson", b'{"a": 1}\nbroken\n{"a": 3}\n', 3, ((None, 1, 1, 3, 3),))
    result = ended(sandbox, KEEP, chunk)
    assert records_of(result) == [{"a": 1}, {"a": 3}]
    assert [(letter["line"], letter["raw"]) for letter in letters_of(result)] == [(2, "broken")]


def test_a_child_that_dies_over_a_table_fails_the_whole_chunk(sandbox):
    source = "import json\ndef process_table(table): json.codecs.sys.modules['os']._exit(1)"
    death = death_of(sandbox, source, 3, **ARROW)
    assert (death.code, death.phase) == ("no_result", "whole_chunk")
