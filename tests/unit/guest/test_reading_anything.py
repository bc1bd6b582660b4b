"""Whatever an input holds, reading it ends with blocks or an InputError, and what it hands out keeps its promises."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_guest.reading import Block, InputError, read_blocks, window
from tests.unit.guest.inputs import MemorySource, gzip_of, records_of, tar_of, zstd_of

CSV = b'id,text\n1,one\n2,"two, ""too"""\n3,"over\ntwo lines"\n'
NDJSON = b'{"id":1,"text":"one"}\n\n{"id":2,"list":[1,{"a":"}"}]}\n'
ARRAY = b'[{"id":1},\n {"id":2,"text":"\\"]"}]'
# Without Parquet: Arrow may crash on damage, which costs a child in the sandbox, and here would cost the whole run.
FILES = {
    "in.csv": CSV,
    "in.tsv": CSV.replace(b",", b"\t"),
    "in.ndjson": NDJSON,
    "in.json": ARRAY,
    "in.csv.gz": gzip_of(CSV),
    "in.json.zst": zstd_of(ARRAY),
    "in.tar": tar_of({"1.csv": CSV, "2.json": ARRAY, "3.ndjson.gz": gzip_of(NDJSON)}),
    "in.tgz": gzip_of(tar_of({"1.csv": CSV})),
    "-": NDJSON,
}


@st.composite
def damaged_files(draw):
    """A name, and its file with some bytes changed, taken out or put in."""
    name = draw(st.sampled_from(sorted(FILES)))
    content = bytearray(FILES[name])
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 5)))
        content[start:end] = draw(
            st.binary(max_size=5) | st.sampled_from([b'"', b"\n", b"]", b"}", b"\\", b"\r", b"\xff"])
        )
    return name, bytes(content)


@given(damaged_files(), st.integers(1, 50), st.integers(1, 200), st.integers(1, 4), st.sampled_from([40, 2**20]))
def test_damage_gives_blocks_or_an_input_error(file, piece_bytes, window_bytes, records_max, bytes_max):
    name, content = file
    blocks: list[Block] = []
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(InputError):
        patch.setattr(window, "WINDOW_BYTES", window_bytes)
        source = MemorySource(content, piece_bytes=piece_bytes)
        blocks.extend(read_blocks(source, name=name, records_max=records_max, bytes_max=bytes_max))
    for block in blocks:
        assert block.records <= records_max
        assert block.size_bytes <= bytes_max
        assert block.records == sum(segment.records for segment in block.segments)
        assert block.records == len(records_of([block]))
        assert block.records or block.failures or block.skipped
