"""Cutting NDJSON: lines are records, blank ones are not."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guest.inputs import blocks_of, failures_of, places_of, records_of

RECORDS = st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3))


@given(RECORDS, st.integers(1, 60), st.integers(1, 4))
def test_records_come_out_as_they_went_in(records, window_bytes, records_max):
    content = "\n".join(map(json.dumps, records)).encode()
    blocks = blocks_of(content, piece_bytes=7, window_bytes=window_bytes, records_max=records_max)
    assert records_of(blocks) == records
    assert all(block.records == records_max for block in blocks[:-1])


@given(st.text(alphabet="{}a \n\r\t", max_size=80), st.integers(1, 40))
def test_the_decoder_finds_as_many_records_as_the_cutter(text, window_bytes):
    blocks = blocks_of(text.encode(), piece_bytes=5, window_bytes=window_bytes)
    assert len(records_of(blocks)) == sum(block.records for block in blocks)


def test_blank_lines_are_kept_and_not_counted():
    blocks = blocks_of(b'\n{"a":1}\n  \t\r\n\n{"a":2}\r\n{"a":3}', records_max=2)
    assert [block.records for block in blocks] == [2, 1]
    assert places_of(blocks) == [(None, 1, 2), (None, 2, 5), (None, 3, 6)]


def test_an_empty_file_is_no_record():
    assert blocks_of(b"") == blocks_of(b"\n \n") == []


def test_a_byte_order_mark_is_dropped():
    assert records_of(blocks_of(b'\xef\xbb\xbf{"a":1}\n')) == [{"a": 1}]


def test_lines_go_on_byte_for_byte():
    content = b'{"n":12345678901234567890.10, "a" : 1e2}\n{"bad\n'
    assert blocks_of(content)[0].payload == content


def test_a_record_larger_than_a_block_costs_only_itself():
    content = b'{"a":1}\n{"a":"' + b"x" * 500_000 + b'"}\n{"a":2}\n'
    blocks = blocks_of(content, bytes_max=1000, piece_bytes=1000, window_bytes=500)
    assert records_of(blocks) == [{"a": 1}, {"a": 2}]
    assert failures_of(blocks) == [("record_too_large", 2)]
    assert places_of(blocks) == [(None, 1, 1), (None, 3, 3)]
    assert "500,009 bytes" in blocks[0].failures[0].message


def test_an_endless_line_ends_with_the_file():
    blocks = blocks_of(b"x" * 500_000, bytes_max=1000)
    assert failures_of(blocks) == [("record_too_large", 1)]


def test_ten_thousand_records_make_a_block_exactly():
    blocks = blocks_of(b'{"a":1}\n' * 25_001, window_bytes=10_000)
    assert [block.records for block in blocks] == [10_000, 10_000, 5_001]


def test_failures_do_not_pile_up_in_one_block():
    blocks = blocks_of((b"x" * 200 + b"\n") * 100, bytes_max=100, records_max=10)
    assert [len(block.failures) for block in blocks] == [10] * 10
