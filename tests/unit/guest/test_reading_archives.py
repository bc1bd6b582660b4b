"""Reading tar archives: members flow into full blocks, and none is lost in silence."""

import io
import tarfile
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_guest.reading import InputError, Skipped
from tests.unit.guest.inputs import blocks_of, failures_of, gzip_of, places_of, records_of, tar_of, zstd_of

TAR_FORMATS = [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]
ONE = b"a,b\n1,2\n3,4\n"


def skipped_of(blocks):
    return [skipped for block in blocks for skipped in block.skipped]


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("in.tar", bytes),
        ("in.tar.gz", gzip_of),
        ("in.tgz", gzip_of),
        ("in.tar.zst", zstd_of),
        ("-", gzip_of),
    ],
)
def test_members_of_one_kind_share_blocks(name, wrap):
    content = wrap(tar_of({"x/1.csv": ONE, "x/2.csv": ONE, "x/3.csv": ONE}))
    blocks = blocks_of(content, name, records_max=4)
    assert [block.records for block in blocks] == [4, 2]
    assert places_of(blocks) == [(f"x/{n}.csv", r, r + 1) for n in (1, 2, 3) for r in (1, 2)]
    assert blocks[0].payload == b"a,b\n1,2\n3,4\n1,2\n3,4\n"


def test_another_header_begins_another_block():
    blocks = blocks_of(tar_of({"1.csv": ONE, "2.csv": b"b,a\n1,2\n", "3.ndjson": b'{"a":1}\n'}), "in.tar")
    assert [block.payload for block in blocks] == [ONE, b"b,a\n1,2\n", b'{"a":1}\n']


def test_many_small_members_make_few_blocks():
    blocks = blocks_of(gzip_of(tar_of({f"{n}.csv": b"a\n" + b"1\n" * 100 for n in range(305)})), "in.tar.gz")
    assert [block.records for block in blocks] == [10_000, 10_000, 10_000, 500]


def test_a_member_without_a_last_line_end_does_not_run_into_the_next():
    blocks = blocks_of(tar_of({"1.csv": b"a\n1", "2.csv": b"a\n2"}), "in.tar")
    assert records_of(blocks) == [{"a": "1"}, {"a": "2"}]


def test_lines_are_counted_in_each_member():
    members = {"1.csv": b"a,b\n1,2\n\n3,4\n", "2.csv": b'\na,b\n"x\ny",6\n7,"8\n9,10\n11,12\n'}
    blocks = blocks_of(tar_of(members), "in.tar")
    assert len(blocks) == 1
    assert places_of(blocks) == [("1.csv", 1, 2), ("1.csv", 2, 4), ("2.csv", 1, 3), ("2.csv", 3, 6), ("2.csv", 4, 7)]
    assert failures_of(blocks) == [("csv_record_invalid", 5)]
    assert blocks[0].failures[0].member == "2.csv"


def test_members_may_be_compressed_and_archives_themselves():
    inner = gzip_of(tar_of({"1.csv.gz": gzip_of(ONE), "2.csv.zst": zstd_of(ONE)}))
    blocks = blocks_of(tar_of({"inner.tgz": inner, "3.csv": ONE}), "in.tar")
    assert [place[0] for place in places_of(blocks)[::2]] == ["inner.tgz/1.csv.gz", "inner.tgz/2.csv.zst", "3.csv"]


def test_archives_nested_without_end_are_left_out():
    content = tar_of({"1.csv": ONE})
    for _ in range(5):
        content = tar_of({"1.csv": ONE, "deeper.tar": content})
    blocks = blocks_of(content, "in.tar")
    assert sum(block.records for block in blocks) == 6
    assert [skipped.reason for skipped in skipped_of(blocks)] == ["it is an archive inside 3 others"]


def test_members_of_unknown_kind_are_reported():
    blocks = blocks_of(tar_of({"README.md": b"text", "1.csv": ONE, "x.bin.gz": gzip_of(b"x")}), "in.tar")
    assert [skipped.member for skipped in skipped_of(blocks)] == ["README.md", "x.bin.gz"]
    assert ".csv" in skipped_of(blocks)[0].reason


def test_the_format_asked_for_counts_for_members_of_unknown_kind():
    blocks = blocks_of(tar_of({"1.txt": ONE, "2.ndjson": b'{"a":1}\n'}), "in.tar", format="csv")
    assert len(records_of(blocks)) == 3


def test_links_are_reported_and_folders_and_macs_attribute_files_are_not():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in [("d", tarfile.DIRTYPE), ("s.csv", tarfile.SYMTYPE), ("h.csv", tarfile.LNKTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "1.csv"
            archive.addfile(info)
        for name in ("d/._1.csv", "d/1.csv"):
            info = tarfile.TarInfo(name)
            info.size = len(ONE)
            archive.addfile(info, io.BytesIO(ONE))
    blocks = blocks_of(buffer.getvalue(), "in.tar")
    assert {place[0] for place in places_of(blocks)} == {"d/1.csv"}
    assert skipped_of(blocks) == [Skipped("s.csv", "it is a symbolic link"), Skipped("h.csv", "it is a hard link")]


def test_an_archive_without_data_is_an_error():
    with pytest.raises(InputError) as caught:
        blocks_of(tar_of({"README.md": b"text"}), "in.tar")
    assert caught.value.code == "input_empty_archive"


def test_an_error_names_the_member():
    with pytest.raises(InputError) as caught:
        blocks_of(tar_of({"1.csv": ONE, "2.csv": b"a,a\n1,2\n"}), "in.tar")
    assert (caught.value.code, caught.value.member) == ("csv_header_invalid", "2.csv")


NAMES = st.text(alphabet="abcé/ ", min_size=1, max_size=300).map(lambda name: name.strip("/ ") or "x")


@given(
    st.dictionaries(NAMES, st.integers(0, 2000), min_size=1, max_size=4),
    st.sampled_from(TAR_FORMATS),
    st.integers(1, 2000),
)
def test_archives_of_every_dialect_are_read(members, tar_format, piece_bytes):
    members = {f"{name}.ndjson": b'{"a":1}\n' * count for name, count in members.items()}
    try:
        content = tar_of(members, dialect=tar_format)
    except ValueError:  # ustar has no room for a long name
        return
    blocks = blocks_of(content, "in.tar", piece_bytes=piece_bytes)
    found = Counter[str | None]()
    for segment in (segment for block in blocks for segment in block.segments):
        found[segment.member] += segment.records
    assert found == {name: content.count(b"\n") for name, content in members.items() if content}


@pytest.mark.parametrize("size", [100, 512, 600, 1536, 2000])
def test_an_archive_cut_amid_an_entry_is_an_error(size):
    content = tar_of({"1.csv": ONE * 100, "2.csv": ONE})
    with pytest.raises(InputError) as caught:
        blocks_of(content[:size], "in.tar")
    assert caught.value.code == "input_truncated"


def test_an_archive_may_lack_its_end_mark():
    content = tar_of({"1.csv": ONE})[:1024]
    assert len(records_of(blocks_of(content, "in.tar"))) == 2


def test_a_damaged_header_is_not_taken_for_the_end():
    content = bytearray(tar_of({"1.csv": ONE, "2.csv": ONE}))
    content[1024] ^= 1
    with pytest.raises(InputError) as caught:
        blocks_of(bytes(content), "in.tar")
    assert (caught.value.code, caught.value.offset_bytes) == ("input_damaged", 1024)


def test_what_is_no_archive_is_an_error():
    with pytest.raises(InputError) as caught:
        blocks_of(b"a,b\n" * 1000, "in.tar")
    assert caught.value.code == "input_wrong_format"


def test_a_header_of_absurd_size_is_refused():
    content = tar_of({"1.csv": ONE}, dialect=tarfile.GNU_FORMAT)
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 2**40
    with pytest.raises(InputError) as caught:
        blocks_of(content[:1024] + long_name.tobuf(tarfile.GNU_FORMAT) + b"x" * 100_000, "in.tar")
    assert caught.value.code == "input_damaged"
    assert "1,099,511,627,776 bytes" in caught.value.message
