"""Scripts in real children: what comes out, and what a chunk that cannot be tried costs."""

import io
import tarfile
import tempfile

import pyarrow.parquet
import pytest

from penstock.core.scripts import InputFile
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


def opened(sandbox, content, name, **options):
    """Read an input in a real child, and return its chunks and what was left out."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        given = InputFile(name, file.fileno(), len(content) or None)
        with sandbox.open_input(given, chunk_records=10_000, as_arrow=False, **options) as reader:
            return list(reader), reader.skipped


def archive_of(names):
    """An archive whose members have one record each."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 9
            archive.addfile(info, io.BytesIO(b'{"n": 1}\n'))
    return buffer.getvalue()


def test_an_archive_may_have_many_small_members(sandbox):
    names = [f"folder/part-{number:05d}.ndjson" for number in range(12_000)]
    chunks, _ = opened(sandbox, archive_of(names), "in.tar")
    assert [chunk.records for chunk in chunks] == [10_000, 2_000]
    assert [segment[0] for chunk in chunks for segment in chunk.segments] == names


def test_an_archive_may_have_many_members_that_hold_no_data(sandbox):
    names = [f"folder/part-{number:05d}.txt" for number in range(2_000)]
    chunks, skipped = opened(sandbox, archive_of([*names, "last.ndjson"]), "in.tar")
    assert [chunk.records for chunk in chunks] == [1]
    assert [member for member, _ in skipped] == names


def test_a_file_may_have_many_records_that_cannot_be_read(sandbox):
    content = b"a,b\n" + b'1,2\n1,"2"z\n' * 5_000
    [chunk, *rest] = opened(sandbox, content, "in.csv")[0]
    assert rest == []
    assert (chunk.records, sum(cause.records for cause in chunk.unreadable)) == (5_000, 5_000)
    assert len(chunk.dead_letters.splitlines()) == 5_000
