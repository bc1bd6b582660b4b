"""Inputs and spools are handled in locked children; what is wrong with them is an error with a place."""

import csv
import gzip
import io
import os
import tarfile
import tempfile
import threading

import orjson
import pyarrow as pa
import pyarrow.parquet
import pytest

from penstock.core.errors import InputUnreadable, OutputFailed
from penstock.core.scripts import InputFile


def opened(sandbox, content, name, *, chunk_records=10_000, as_arrow=False, data_format=None):
    """Read an input in a real child, and return its chunks and what was left out."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        given = InputFile(name, file.fileno(), len(content) or None, data_format)
        with sandbox.open_input(given, chunk_records=chunk_records, as_arrow=as_arrow) as reader:
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


LINES = b"".join(b'{"n": %d}\n' % number for number in range(25))


def test_an_input_is_cut_into_chunks_of_so_many_records(sandbox):
    chunks, _ = opened(sandbox, LINES, "in.ndjson", chunk_records=10)
    assert [chunk.records for chunk in chunks] == [10, 10, 5]
    assert b"".join(chunk.payload for chunk in chunks) == LINES
    assert {(chunk.input, chunk.format) for chunk in chunks} == {("in.ndjson", "ndjson")}


@pytest.mark.parametrize("content", [LINES, gzip.compress(LINES, mtime=0), b""], ids=["plain", "gzip", "empty"])
def test_a_stream_is_fed_to_the_child_piece_by_piece(sandbox, content):
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    with sandbox.open_input(InputFile("-", reading, None), chunk_records=10, as_arrow=False) as reader:
        chunks = list(reader)
        assert reader.position_bytes == len(content)
    os.close(reading)
    assert b"".join(chunk.payload for chunk in chunks) == (LINES if content else b"")


def test_a_stream_larger_than_the_arena_is_read_to_its_end(sandbox):
    content = LINES * 20_000
    reading, writing = os.pipe()

    def feed():
        with open(writing, "wb") as pipe:
            pipe.write(content)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with sandbox.open_input(InputFile("-", reading, None), chunk_records=10_000, as_arrow=False) as reader:
        records = sum(chunk.records for chunk in reader)
    feeder.join()
    os.close(reading)
    assert records == 25 * 20_000


def test_an_input_says_how_far_it_has_been_read(sandbox):
    with tempfile.TemporaryFile() as file:
        file.write(LINES * 10_000)
        file.flush()
        size = os.fstat(file.fileno()).st_size
        with sandbox.open_input(
            InputFile("in.ndjson", file.fileno(), size), chunk_records=10_000, as_arrow=False
        ) as reader:
            positions = [reader.position_bytes for _ in reader]
    assert positions == sorted(positions)
    assert 0 < positions[0] < size
    assert positions[-1] == size


def test_parquet_becomes_tables_or_lines_as_they_are_wanted(sandbox):
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"a": [1, 2]}), buffer)
    for as_arrow, data_format in ((True, "arrow"), (False, "ndjson")):
        [chunk] = opened(sandbox, buffer.getvalue(), "in.parquet", as_arrow=as_arrow)[0]
        assert (chunk.format, chunk.records) == (data_format, 2)


def test_the_users_word_for_a_format_comes_before_the_name(sandbox):
    [chunk] = opened(sandbox, b"a\n1\n", "in.txt", data_format="csv")[0]
    assert (chunk.format, chunk.records) == ("csv", 1)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.xls", b"abc", "in.xls: the ending of the name tells no format"),
        ("in.ndjson.gz", gzip.compress(LINES, mtime=0)[:-20], "in.ndjson.gz: "),
        ("in.ndjson.gz", b"not gzip at all", "expected gzip, as its name says"),
        ("in.json", b'[{"a": 1}, {"a"', "in.json: "),
        ("in.parquet", b"PAR1" + bytes(100) + b"PAR1", "in.parquet: "),
        ("in.tar", archive_of(["README"]), "in.tar: the archive holds no file that can be read"),
    ],
)
def test_an_input_that_is_not_what_it_should_be_is_named(sandbox, name, content, words):
    with pytest.raises(InputUnreadable) as caught:
        opened(sandbox, content, name)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_broken_member_of_an_archive_is_named(sandbox):
    content = archive_of(["good.ndjson", "bad.json.gz"])
    with pytest.raises(InputUnreadable, match=r"in\.tar: .*\(bad\.json\.gz"):
        opened(sandbox, content, "in.tar")


def test_a_file_that_is_cut_short_while_it_is_read_is_an_error_and_no_crash(sandbox):
    """What a child maps can vanish under it: it dies of SIGBUS, and the service lives."""
    with tempfile.TemporaryFile() as file:
        file.write(LINES * 50_000)
        file.flush()
        size = os.fstat(file.fileno()).st_size
        given = InputFile("in.ndjson", file.fileno(), size)
        with sandbox.open_input(given, chunk_records=1_000, as_arrow=False) as reader:
            chunks = iter(reader)
            next(chunks)
            file.truncate(4096)
            with pytest.raises(InputUnreadable, match="cut short"):
                list(chunks)


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
    assert (chunk.records, chunk.unreadable_records) == (5_000, 5_000)
    assert len(chunk.dead_letters.splitlines()) == 5_000


def converted(sandbox, spool, *, to, spool_format="ndjson"):
    """Convert a spool in a real child."""
    with tempfile.TemporaryFile() as file:
        file.write(spool)
        file.flush()
        return b"".join(sandbox.convert(file.fileno(), spool_format=spool_format, to=to))


def test_lines_become_csv(sandbox):
    rows = csv.DictReader(
        io.StringIO(converted(sandbox, b'{"a":1,"b":"x, y"}\n{"b":"z","c":true}\n', to="csv").decode())
    )
    assert list(rows) == [{"a": "1", "b": "x, y", "c": ""}, {"a": "", "b": "z", "c": "true"}]


def test_lines_become_parquet(sandbox):
    table = pyarrow.parquet.read_table(io.BytesIO(converted(sandbox, b'{"a":1}\n{"a":2,"b":"x"}\n', to="parquet")))
    assert table.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_an_output_that_is_no_records_cannot_be_converted(sandbox, to):
    """A child may have written anything."""
    with pytest.raises(OutputFailed, match=f"the {to} writer: a line of the output is not a JSON object"):
        converted(sandbox, b'{"a":1}\n[1]\n', to=to)


@pytest.mark.parametrize(("spool_format", "to"), [("ndjson", "csv"), ("ndjson", "parquet"), ("arrow", "parquet")])
def test_no_records_at_all_can_be_converted(sandbox, spool_format, to):
    result = converted(sandbox, b"", to=to, spool_format=spool_format)
    assert (result == b"") == (to == "csv")
    if to == "parquet":
        assert pyarrow.parquet.read_table(io.BytesIO(result)).num_rows == 0


def test_a_large_spool_is_converted_in_blocks(sandbox):
    spool = b"".join(orjson.dumps({"n": number, "text": "x" * 100}) + b"\n" for number in range(50_000))
    result = converted(sandbox, spool, to="csv")
    assert result.count(b"\n") == 50_001
    assert result.endswith(b"49999," + b"x" * 100 + b"\n")
