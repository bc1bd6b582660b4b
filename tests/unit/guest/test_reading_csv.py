"""Cutting CSV: records end where quotes say, and a bad one harms only itself."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_guest.reading import InputError
from tests.unit.guest.inputs import blocks_of, failures_of, places_of, records_of

FIELDS = st.text(alphabet='ab",\n\r;é ', max_size=6)
WINDOWS = st.integers(1, 100)


def csv_of(rows, **options):
    """Write rows as the csv module does."""
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue().encode()


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=30), WINDOWS, st.integers(1, 5))
def test_records_are_those_that_the_csv_module_reads(rows, window_bytes, records_max):
    content = csv_of([("left", "right"), *rows], quoting=csv.QUOTE_MINIMAL)
    blocks = blocks_of(content, "in.csv", piece_bytes=7, window_bytes=window_bytes, records_max=records_max)
    assert records_of(blocks) == [{"left": left or None, "right": right or None} for left, right in rows]
    assert all(block.records == records_max for block in blocks[:-1])


@given(st.text(alphabet='a",\n\r', max_size=60), WINDOWS)
def test_every_line_of_any_text_is_in_a_record_or_a_failure(text, window_bytes):
    content = b"x,y\n" + text.encode()
    blocks = blocks_of(content, "in.csv", piece_bytes=5, window_bytes=window_bytes)
    kept = b"".join(part for block in blocks for part in block.parts[1:])
    lost = b"".join(failure.raw for block in blocks for failure in block.failures)
    assert sorted((kept + lost).translate(None, b"\r\n")) == sorted(text.encode().translate(None, b"\r\n"))


@given(st.text(alphabet='a",\n\r', max_size=60), WINDOWS)
def test_the_decoder_finds_as_many_records_as_the_cutter(text, window_bytes):
    blocks = blocks_of(b"x,y\n" + text.encode(), "in.csv", piece_bytes=5, window_bytes=window_bytes)
    assert len(records_of(blocks)) == sum(block.records for block in blocks)


@given(st.text(alphabet='a",\n\r', max_size=80), st.integers(1, 9), st.integers(1, 50))
def test_where_the_text_is_split_changes_nothing(text, piece_bytes, window_bytes):
    content = b"x,y\n" + text.encode()
    whole = blocks_of(content, "in.csv")
    split = blocks_of(content, "in.csv", piece_bytes=piece_bytes, window_bytes=window_bytes)
    assert [(b.payload, b.segments, b.failures) for b in whole] == [(b.payload, b.segments, b.failures) for b in split]


def test_a_header_alone_is_no_record():
    assert blocks_of(b"a,b\n", "in.csv") == []


def test_an_empty_file_is_no_record():
    assert blocks_of(b"", "in.csv") == []


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert records_of(blocks_of(b"\xef\xbb\xbfa,b\n1,2\n", "in.csv")) == [{"a": "1", "b": "2"}]


def test_the_last_line_needs_no_end():
    assert records_of(blocks_of(b"a,b\n1,2\n3,4", "in.csv")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_windows_line_ends_are_no_part_of_the_last_field():
    assert records_of(blocks_of(b'a,b\r\n1,2\r\n"3","4"\r\n', "in.csv")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_windows_line_ends_inside_quotes_stay():
    assert records_of(blocks_of(b'a,b\r\n"1\r\n2",3\r\n', "in.csv")) == [{"a": "1\r\n2", "b": "3"}]


def test_blank_lines_are_no_records_and_keep_the_count_of_lines():
    blocks = blocks_of(b"\na,b\n\n1,2\n\n\n3,4\n\n", "in.csv", records_max=1)
    assert [block.records for block in blocks] == [1, 1]
    assert places_of(blocks) == [(None, 1, 4), (None, 2, 7)]


def test_a_quote_amid_a_field_is_text():
    content = b'name,size\npipe,5" wide\nbolt,3"\n"nut, hex",1\n'
    assert [record["size"] for record in records_of(blocks_of(content, "in.csv"))] == ['5" wide', '3"', "1"]


def test_a_quote_that_never_closes_costs_one_line():
    blocks = blocks_of(b'a,b\n1,2\n3,"4\n5,6\n7,8\n', "in.csv")
    assert [record["a"] for record in records_of(blocks)] == ["1", "5", "7"]
    assert failures_of(blocks) == [("csv_record_invalid", 3)]
    assert blocks[0].failures[0].raw == b'3,"4\n'
    assert blocks[0].failures[0].message == "the quote that opens field 2 is never closed"


def test_a_quote_that_closes_at_the_next_quoted_field_costs_one_line():
    blocks = blocks_of(b'a,b\n1,"2\n3,4\n5,"six"\n7,8\n', "in.csv")
    assert [record["a"] for record in records_of(blocks)] == ["3", "5", "7"]
    assert failures_of(blocks) == [("csv_record_invalid", 2)]


def test_text_after_a_closing_quote_costs_one_record():
    blocks = blocks_of(b'a,b\n"x"y,1\n2,3\n', "in.csv")
    assert failures_of(blocks) == [("csv_record_invalid", 2)]
    assert records_of(blocks) == [{"a": "2", "b": "3"}]


def test_a_failure_names_the_line_where_the_quote_opened():
    blocks = blocks_of(b'a,b\n"1\n1",2\n"3\n3","4\n5,6\n', "in.csv")
    assert failures_of(blocks) == [("csv_record_invalid", 5)]
    assert places_of(blocks) == [(None, 1, 2), (None, 3, 6)]


def test_a_quote_that_is_open_past_the_limit_costs_one_line():
    content = b'a,b\n1,"2\n' + b"3,4\n" * 400
    blocks = blocks_of(content, "in.csv", bytes_max=400, piece_bytes=100)
    assert failures_of(blocks) == [("csv_record_invalid", 2)]
    assert len(records_of(blocks)) == 400
    assert max(block.size_bytes for block in blocks) <= 400


def test_a_record_larger_than_a_block_costs_only_itself():
    content = b"a,b\n1,2\n3," + b"x" * 900_000 + b"\n5,6\n"
    blocks = blocks_of(content, "in.csv", bytes_max=1000, piece_bytes=10_000)
    assert [record["a"] for record in records_of(blocks)] == ["1", "5"]
    assert failures_of(blocks) == [("record_too_large", 3)]
    assert blocks[0].failures[0].message == "the record has 900,003 bytes; the largest a chunk can hold is 996"
    assert places_of(blocks) == [(None, 1, 2), (None, 3, 4)]


def test_blocks_keep_to_the_limit_in_bytes():
    blocks = blocks_of(b"a,b\n" + b"1,2\n" * 1000, "in.csv", bytes_max=100)
    assert {block.size_bytes for block in blocks[:-1]} == {100}
    assert sum(block.records for block in blocks) == 1000


@pytest.mark.parametrize(("delimiter", "name"), [("\t", "in.tsv"), (";", "in.csv"), (",", "in.csv")])
def test_the_header_shows_the_delimiter(delimiter, name):
    content = csv_of([("a", "b c"), ('x"', f"1{delimiter}2")], delimiter=delimiter)
    assert records_of(blocks_of(content, name)) == [{"a": 'x"', "b c": f"1{delimiter}2"}]


def test_a_header_may_hold_line_ends():
    blocks = blocks_of(b'"a\nb",c\n1,2\n', "in.csv")
    assert records_of(blocks) == [{"a\nb": "1", "c": "2"}]
    assert places_of(blocks) == [(None, 1, 3)]


def test_a_column_without_a_name_is_called_by_its_place():
    assert records_of(blocks_of(b"a,,b,\n1,2,3,4\n", "in.csv")) == [
        {"a": "1", "column_2": "2", "b": "3", "column_4": "4"}
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b,a\n1,2,3\n", "columns 1, 3 share their names with others; every column needs its own"),
        (b"a,\xff\n1,2\n", "the header line is not UTF-8"),
        (b'a,"b\n1,2\n', "expected a header line, found a quote that does not close"),
        (b"a,b\r1,2\r3,4\r", "expected a header line, found a carriage return that ends no line"),
        (b"x" * 2000, "expected a header line, found no line end in the first 1,000 bytes"),
    ],
)
def test_a_header_that_cannot_be_read_is_an_error(content, message):
    with pytest.raises(InputError) as caught:
        blocks_of(content, "in.csv", bytes_max=1000)
    assert (caught.value.code, caught.value.message, caught.value.line) == ("csv_header_invalid", message, 1)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "ä,b\n1,2\n"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf16_is_refused_with_a_way_out(text, encoding):
    with pytest.raises(InputError) as caught:
        blocks_of(text.encode(encoding), "in.csv")
    assert caught.value.code == "input_not_text"
    assert "iconv" in caught.value.hint


def test_a_nul_byte_is_refused_where_it_stands():
    with pytest.raises(InputError) as caught:
        blocks_of(b"a,b\n1,2\n3,\x004\n", "in.csv", piece_bytes=3)
    assert (caught.value.code, caught.value.offset_bytes) == ("input_not_text", 10)
