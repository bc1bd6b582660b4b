"""Undoing gzip and Zstandard, and telling what an input is."""

import tracemalloc

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock_guest.reading import InputError, read_blocks
from tests.unit.guest.inputs import MemorySource, blocks_of, gzip_of, records_of, zstd_of

LINES = b'{"a":1}\n{"a":2}\n'
COMPRESS = {"gz": gzip_of, "zst": zstd_of}


@given(st.lists(st.binary(max_size=50), max_size=4), st.sampled_from(["gz", "zst"]), st.integers(1, 30))
def test_any_number_of_members_and_frames_is_one_text(parts, suffix, piece_bytes):
    lines = [part.hex().encode() + b"\n" for part in parts]
    content = b"".join(map(COMPRESS[suffix], lines)) or COMPRESS[suffix](b"")
    blocks = blocks_of(content, f"in.ndjson.{suffix}", piece_bytes=piece_bytes)
    assert b"".join(block.payload for block in blocks).replace(b"\n", b"") == b"".join(lines).replace(b"\n", b"")


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("cut", range(1, 25))
def test_data_cut_short_is_an_error(suffix, cut):
    content = COMPRESS[suffix](LINES)[:-cut]
    with pytest.raises(InputError) as caught:
        blocks_of(content, f"in.ndjson.{suffix}")
    assert (caught.value.code, caught.value.offset_bytes) == ("input_truncated", len(content))


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_an_empty_file_is_no_compressed_one(suffix):
    with pytest.raises(InputError) as caught:
        blocks_of(b"", f"in.ndjson.{suffix}")
    assert caught.value.code == "input_truncated"


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_damaged_data_is_an_error(suffix):
    content = bytearray(COMPRESS[suffix](LINES))
    content[-6] ^= 0xFF
    content += COMPRESS[suffix](LINES)
    with pytest.raises(InputError) as caught:
        blocks_of(bytes(content), f"in.ndjson.{suffix}")
    assert caught.value.code == "input_damaged"


def test_zeros_after_gzip_are_padding():
    assert len(records_of(blocks_of(gzip_of(LINES) + b"\0" * 700, "in.ndjson.gz", piece_bytes=64))) == 2


def test_text_after_gzip_is_damage():
    with pytest.raises(InputError) as caught:
        blocks_of(gzip_of(LINES) + b"more", "in.ndjson.gz")
    assert caught.value.code == "input_damaged"


def test_skippable_frames_are_skipped():
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    assert len(records_of(blocks_of(skippable + zstd_of(LINES), "in.ndjson.zst"))) == 2


def test_frames_without_a_checksum_or_size_are_read():
    writer = zstandard.ZstdCompressor(write_checksum=False, write_content_size=False).compressobj()
    assert len(records_of(blocks_of(writer.compress(LINES) + writer.flush(), "in.ndjson.zst"))) == 2


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_bomb_is_read_in_flat_memory(suffix):
    content = b"".join([COMPRESS[suffix](b" " * 2**23)] * 25 + [COMPRESS[suffix](b"\n" + LINES)])
    tracemalloc.start()
    try:
        source = MemorySource(content)
        blocks = list(read_blocks(source, name=f"in.ndjson.{suffix}", bytes_max=2**20))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(records_of(blocks)) == 2
    assert [failure.code for block in blocks for failure in block.failures] == ["record_too_large"]
    assert peak_bytes < 40 * 2**20


@pytest.mark.parametrize(
    ("content", "records"),
    [
        (LINES, 2),
        (b'[{"a":1},{"a":2},{"a":3}]', 3),
        (b'{\n"a":\n1}', 1),
        (gzip_of(LINES), 2),
        (zstd_of(LINES), 2),
        (gzip_of(zstd_of(LINES)), 2),
        (b"", 0),
    ],
)
def test_standard_input_is_what_it_begins_like(content, records):
    assert len(records_of(blocks_of(content, "-", piece_bytes=1))) == records


@pytest.mark.parametrize("name", ["-", "table.txt", "table", "table.json"])
def test_the_format_asked_for_counts_more_than_the_name(name):
    content = b"a,b\n1,2\n"
    assert records_of(blocks_of(content, name, format="csv")) == [{"a": "1", "b": "2"}]
    assert records_of(blocks_of(gzip_of(content), name, format="csv")) == [{"a": "1", "b": "2"}]


def test_a_name_may_tell_several_layers():
    assert records_of(blocks_of(zstd_of(gzip_of(b"a\n1\n")), "IN.CSV.GZ.ZST")) == [{"a": "1"}]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (gzip_of(LINES), "in.ndjson", "expected ndjson, as its name says, found gzip"),
        (zstd_of(LINES), "in.ndjson.gz", "expected gzip, as its name says, found zstd"),
        (LINES, "in.ndjson.zst", "expected zstd, as its name says, found something else"),
        (b"PK\x03\x04rest", "in.csv", "expected csv, as its name says, found a ZIP archive or an Excel workbook"),
        (LINES, "in.parquet", "expected parquet, as its name says, found something else"),
    ],
)
def test_content_that_belies_the_name_is_an_error(content, name, message):
    with pytest.raises(InputError) as caught:
        blocks_of(content, name)
    assert (caught.value.code, caught.value.message) == ("input_wrong_format", message)


@pytest.mark.parametrize("name", ["in.txt", "in", "in.gz", "csv"])
def test_a_name_that_tells_nothing_is_an_error_with_what_would_do(name):
    with pytest.raises(InputError) as caught:
        blocks_of(gzip_of(LINES), name)
    assert caught.value.code == "input_unknown_format"
    assert ".ndjson" in caught.value.message
    assert caught.value.hint == "Name the format: --input-format ndjson|json|csv|parquet"


def test_an_error_comes_after_the_blocks_before_it():
    source = MemorySource(gzip_of(b'{"a":1}\n' * 50_000)[:-4])
    blocks = read_blocks(source, name="in.ndjson.gz")
    assert [next(blocks).records for _ in range(3)] == [10_000] * 3
    with pytest.raises(InputError):
        next(blocks)


def test_a_body_that_came_as_brotli_is_undone():
    assert records_of(encoded(brotli.compress(LINES))) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("cut", range(1, 12))
def test_brotli_cut_short_is_an_error(cut):
    with pytest.raises(InputError) as caught:
        encoded(brotli.compress(LINES * 100)[:-cut])
    assert caught.value.code == "input_truncated"


@pytest.mark.parametrize("content", [b"", LINES, b"\xff" * 100])
def test_what_is_no_brotli_is_an_error(content):
    with pytest.raises(InputError) as caught:
        encoded(content)
    assert caught.value.code in ("input_truncated", "input_damaged")


def test_text_after_brotli_is_damage():
    with pytest.raises(InputError) as caught:
        encoded(brotli.compress(LINES) + b"x" * 64, piece_bytes=16)
    assert caught.value.code == "input_damaged"


def test_a_bomb_of_brotli_needs_no_memory():
    bomb = brotli.compress((b" " * 1023 + b"\n") * 200_000, quality=5)
    tracemalloc.start()
    count = sum(block.records for block in read_blocks(MemorySource(bomb), name="in.ndjson", encoding="br"))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 0
    assert peak_bytes < 40 * 2**20


def encoded(content, *, piece_bytes=2**20):
    """Read a body that came as Brotli."""
    source = MemorySource(content, piece_bytes=piece_bytes)
    return list(read_blocks(source, name="in.ndjson", format="ndjson", encoding="br"))
